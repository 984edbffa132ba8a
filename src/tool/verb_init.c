/*
 * SPDX-License-Identifier: ISC
 *
 * candhook init: installs or renews the schema. May be run again at any time: data stays.
 */
#include <config.h>

#include "store/install_sql.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

struct options {
    int print;
};

static const struct argp_option option_table[] = {
    {"print", 'p', NULL, 0, "Print the SQL instead of sending it, for psql -f", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    (void)text;
    if (key != 'p')
        return ARGP_ERR_UNKNOWN;
    options->print = 1;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Installs the schema candhook, and the roles where the user may make them, into the configured database.\v"
    "The database must exist and be in UTF-8. Run it again after an upgrade of candhook; what is stored stays.",
    NULL,
    NULL,
    NULL};

static void say(const char *text)
{
    fprintf(stderr, "candhook init: %s\n", text);
}

int verb_init(int argc, char **argv)
{
    struct options options = {0};
    struct conf *conf;
    struct store *store;
    struct err err;
    enum result result;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.print) {
        fputs(install_sql, stdout);
        return fflush(stdout) == 0 ? 0 : EX_IOERR;
    }
    status = verb_begin_store(argv[0], 0, &conf, &store);
    if (status != 0)
        return status;
    result = store_install(store, install_sql, say, &err);
    if (result == RESULT_OK)
        result = store_connect(store, 1, &err);
    if (result == RESULT_OK)
        result = store_maintain(store, say, &err);
    if (result == RESULT_OK)
        printf("schema candhook: version %d is installed\n", STORE_VERSION);
    else
        status = verb_fail(argv[0], result, &err);
    store_free(store);
    conf_free(conf);
    return status;
}
