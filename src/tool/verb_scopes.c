/*
 * SPDX-License-Identifier: ISC
 *
 * candhook scopes: the webhook scopes that the enabled handlers need.
 */
#include <config.h>

#include "http/scopes.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>

static const struct argp argp = {NULL,
                                 NULL,
                                 NULL,
                                 "Prints the webhook: scopes that the enabled handlers need, one a line.\v"
                                 "A community's admin must authorize the App with these, or its events do not come; "
                                 "candhook authorize-url makes the "
                                 "URL for it. The setting webhook_scope says how a scope's name is made.",
                                 NULL,
                                 NULL,
                                 NULL};

int verb_scopes(int argc, char **argv)
{
    struct scopes scopes = {0};
    struct conf *conf;
    struct store *store;
    struct err err;
    enum result result;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    status = verb_begin_store(argv[0], 1, &conf, &store);
    if (status != 0)
        return status;
    result = scopes_wanted(&scopes, store, conf->webhook_scope, argv[0], &err);
    if (result != RESULT_OK)
        status = verb_fail(argv[0], result, &err);
    else if (scopes.count == 0)
        fprintf(stderr, "%s: no enabled handler needs one\n", argv[0]);
    for (size_t i = 0; i < scopes.count; i++)
        puts(scopes.names[i]);
    scopes_free(&scopes);
    store_free(store);
    conf_free(conf);
    return status;
}
