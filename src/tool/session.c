/*
 * SPDX-License-Identifier: ISC
 *
 * How verbs begin and fail.
 */
#include <config.h>

#include "session.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

const char *argp_program_version = "candhook " PACKAGE_VERSION;

int session_fail(const char *verb, enum result result, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", verb, err->text);
    return result == RESULT_RETRY ? EX_TEMPFAIL : EX_SOFTWARE;
}

int session_conf(const char *verb, struct conf **conf)
{
    struct err err;

    if (conf_load(conf, &err) == RESULT_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", verb, err.text);
    return EX_CONFIG;
}

int session_store(const char *verb, int check_version, struct conf **conf, struct store **store)
{
    struct err err;
    enum result result;
    int status = session_conf(verb, conf);

    if (status != 0)
        return status;
    *store = store_new((*conf)->database);
    result = store_connect(*store, check_version, &err);
    if (result == RESULT_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", verb, err.text);
    store_free(*store);
    conf_free(*conf);
    return EX_UNAVAILABLE;
}
