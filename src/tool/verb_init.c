/*
 * SPDX-License-Identifier: ISC
 *
 * candhook init: installs or upgrades the schema. It may be run again at any time; all data stays.
 */
#include <config.h>

#include "store/install_sql.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>

static const struct argp_option init_option_table[] = {
    {.name = "print", .key = 'p', .doc = "Print the SQL instead of running it, for psql -f"},
    {0},
};

static error_t parse_init_option(int key, char *text, struct argp_state *state)
{
    bool *print = state->input;

    (void)text;
    if (key != 'p')
        return ARGP_ERR_UNKNOWN;
    *print = true;
    return 0;
}

static const struct argp init_argp = {
    .options = init_option_table,
    .parser = parse_init_option,
    .doc = "Installs the schema candhook into the configured database, and the roles if the user may create roles.\v"
           "The database must exist and its encoding must be UTF-8. Run this again after each upgrade of candhook; all "
           "data stays.",
};

static void print_notice(const char *text)
{
    fprintf(stderr, "candhook init: %s\n", text);
}

int verb_init(int argc, char **argv)
{
    bool print = false;
    struct conf *conf;
    struct store *store;
    struct err err;
    enum result result;
    int status;

    argp_parse(&init_argp, argc, argv, 0, NULL, &print);
    if (print) {
        fputs(install_sql, stdout);
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    }
    status = verb_begin_store(argv[0], false, &conf, &store);
    if (status != EX_OK)
        return status;
    result = store_install(store, install_sql, print_notice, &err);
    if (result == RESULT_OK)
        result = store_connect(store, true, &err);
    if (result == RESULT_OK)
        result = store_maintain(store, print_notice, &err);
    if (result == RESULT_OK)
        printf("schema candhook: version %d is installed\n", STORE_VERSION);
    else
        status = verb_fail(argv[0], result, &err);
    store_free(store);
    conf_free(conf);
    return status;
}
