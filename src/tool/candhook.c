/*
 * SPDX-License-Identifier: ISC
 *
 * candhook: finds the verb of the first argument and runs it.
 */
#include <config.h>

#include "base/memory.h"
#include "base/std_fds.h"
#include "tool/verb.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
    {"api", verb_api, "call the canD API with the bot token of a community"},
    {"authorize-url", verb_authorize_url, "print the URL at which a community authorizes the App"},
    {"check-config", verb_check_config, "check the configuration and print the settings in force"},
    {"doctor", verb_doctor, "examine this installation and say what is wrong"},
    {"forward", verb_forward, "POST recorded events to a server, as canD would"},
    {"init", verb_init, "install the schema candhook into the database"},
    {"scopes", verb_scopes, "print the webhook scopes that the handlers need"},
    {"send", verb_send, "POST a sample event to a URL"},
    {"status", verb_status, "show the worker, the spool, the answers, the handlers"},
    {"stop", verb_stop, "end the worker of the spool and keep others from starting"},
    {"token", verb_token, "store, list, revoke and remove bot tokens of communities"},
    {"url", verb_url, "make, list and retire secrets of the webhook URL"},
    {"web-user", verb_web_user, "add, list and remove users of the console"},
    {"work", verb_work, "record spooled events and run their handlers"},
};

static const size_t verb_count = sizeof verbs / sizeof *verbs;

static void print_help(FILE *to)
{
    fputs("Usage: candhook VERB [ARGUMENT...]\n\n"
          "Records the webhook events of canD Apps and runs their handlers.\n\n",
          to);
    for (size_t i = 0; i < verb_count; i++)
        fprintf(to, "  %-14s %s\n", verbs[i].name, verbs[i].summary);
    fputs(
        "\ncandhook VERB --help describes a verb. Manual pages: candhook(1), candhook.conf(5), candhook-handlers(7), candhook-security(7).\n"
        "The configuration is read from $CANDHOOK_CONF, else from " SYSCONFDIR "/candhook.conf.\n",
        to);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < verb_count; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct verb *verb;

    std_fds_reserve();
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("candhook " PACKAGE_VERSION);
        return 0;
    }
    verb = find_verb(argv[1]);
    if (verb == NULL) {
        fprintf(stderr, "candhook: there is no verb %s; candhook --help lists the verbs\n", argv[1]);
        return EX_USAGE;
    }
    argv[1] = memory_format("candhook %s", verb->name); /* as which argp and messages name the program */
    return verb->run(argc - 1, argv + 1);
}
