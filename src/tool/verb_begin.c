/*
 * SPDX-License-Identifier: ISC
 *
 * How verbs begin and fail.
 */
#include <config.h>

#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

const char *argp_program_version = "candhook " PACKAGE_VERSION;

int verb_fail(const char *verb, enum result result, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", verb, err->text);
    return result == RESULT_RETRY ? EX_TEMPFAIL : EX_SOFTWARE;
}

int verb_begin_conf(const char *verb, struct conf **conf)
{
    struct err err;

    if (conf_load(conf, &err) == RESULT_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", verb, err.text);
    return EX_CONFIG;
}

int verb_begin_store(const char *verb, int check_version, struct conf **conf, struct store **store)
{
    struct err err;
    enum result result;
    int status = verb_begin_conf(verb, conf);

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
