/*
 * SPDX-License-Identifier: ISC
 *
 * candhook: the tool. It finds the verb and hands over.
 */
#include <config.h>

#include "base/std_fds.h"
#include "tool/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
    {"api", verb_api, "call the canD API with the bot token of a community"},
    {"authorize-url", verb_authorize_url, "print the URL at which a community authorizes the App"},
    {"check-config", verb_check_config, "read the configuration and say what is in force"},
    {"doctor", verb_doctor, "look at this installation and say what is wrong"},
    {"forward", verb_forward, "POST recorded events to a local server, as canD would"},
    {"init", verb_init, "install the schema candhook into the database"},
    {"scopes", verb_scopes, "print the webhook scopes that the handlers need"},
    {"send", verb_send, "POST a sample event to a URL"},
    {"status", verb_status, "show how it goes: worker, spool, answers, handlers"},
    {"stop", verb_stop, "end the worker of the spool, and start no other"},
    {"token", verb_token, "store the bot token of a community"},
    {"url", verb_url, "make, list and retire the secrets of the webhook URL"},
    {"work", verb_work, "record spooled events and run their handlers"},
};

static const size_t verb_count = sizeof verbs / sizeof *verbs;

static void help(FILE *to)
{
    fputs("Usage: candhook VERB [ARGUMENT...]\n\n"
          "Records the webhook events of canD Apps and runs their handlers.\n\n",
          to);
    for (size_t i = 0; i < verb_count; i++)
        fprintf(to, "  %-14s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\ncandhook VERB --help tells more, and so do candhook(1), candhook.conf(5) and candhook-handlers(7).\n"
          "The configuration is read from $CANDHOOK_CONF, else from " SYSCONFDIR "/candhook.conf.\n",
          to);
}

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < verb_count; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct verb *verb;
    char *full_name;

    std_fds_reserve();
    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("candhook " PACKAGE_VERSION);
        return 0;
    }
    verb = find(argv[1]);
    if (verb == NULL) {
        fprintf(stderr, "candhook: %s is no verb; candhook --help lists them\n", argv[1]);
        return EX_USAGE;
    }
    if (asprintf(&full_name, "candhook %s", verb->name) < 0)
        abort();
    argv[1] = full_name;
    return verb->run(argc - 1, argv + 1);
}
