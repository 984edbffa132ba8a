/*
 * SPDX-License-Identifier: ISC
 *
 * candhook scopes: the webhook scopes that the enabled handlers need.
 */
#include <config.h>

#include "tool/verb_scopes.h"

#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>

static const struct argp scopes_argp = {
    .doc = "Prints the webhook: scopes that the enabled handlers need, one a line.\v"
           "A community's admin must authorize the App with these, or its events do not come; candhook authorize-url "
           "makes the URL for it. The settings webhook_scope and webhook_areas say how a scope's name is made.",
};

static void print_open(const char *verb, unsigned open)
{
    static const struct {
        enum scopes_open flag;
        const char *text;
    } notes[] = {
        {SCOPES_NOT_A_SCOPE, "the module or type of a handler cannot be part of a scope's name"},
        {SCOPES_UNKNOWN_AREAS, "a handler takes all types of another module than " SCOPES_MODULE
                               ", whose scopes are not known here: see the App's settings"},
        {SCOPES_OPEN_MODULE, "a handler takes the module *: only " SCOPES_MODULE " is known here, others may exist"},
        {SCOPES_OPEN_TYPE,
         "a handler takes the type *: the scopes are those of the documented types, others may exist"},
    };

    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (open & notes[i].flag)
            fprintf(stderr, "%s: %s\n", verb, notes[i].text);
}

int verb_scopes_add(const char *verb, const struct conf *conf, struct store *store, struct scopes *scopes)
{
    struct scopes_needed needed = {.rule = {conf->webhook_scope, conf->webhook_areas}, .scopes = *scopes};
    struct err err;
    enum result result = store_wanted(store, scopes_add_needed, &needed, &err);

    *scopes = needed.scopes;
    if (result != RESULT_OK)
        return verb_fail(verb, result, &err);
    print_open(verb, needed.open);
    return 0;
}

int verb_scopes(int argc, char **argv)
{
    struct scopes scopes = {0};
    struct conf *conf;
    struct store *store;
    int status;

    argp_parse(&scopes_argp, argc, argv, 0, NULL, NULL);
    status = verb_begin_store(argv[0], true, &conf, &store);
    if (status != 0)
        return status;
    status = verb_scopes_add(argv[0], conf, store, &scopes);
    if (status == 0 && scopes.count == 0)
        fprintf(stderr, "%s: no enabled handler needs one\n", argv[0]);
    for (size_t i = 0; i < scopes.count; i++)
        puts(scopes.names[i]);
    scopes_free(&scopes);
    store_free(store);
    conf_free(conf);
    return status;
}
