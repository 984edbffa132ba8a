/*
 * SPDX-License-Identifier: ISC
 *
 * How verbs begin and fail.
 */
#include <config.h>

#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

const char *argp_program_version = "candhook " PACKAGE_VERSION;

int verb_fail_with(const char *verb, int status, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", verb, err->text);
    return status;
}

int verb_fail(const char *verb, enum result result, const struct err *err)
{
    return verb_fail_with(verb, result == RESULT_RETRY ? EX_TEMPFAIL : EX_SOFTWARE, err);
}

int verb_fail_file(const char *verb, enum result result, const struct err *err)
{
    return verb_fail_with(verb, result == RESULT_RETRY ? EX_TEMPFAIL : EX_DATAERR, err);
}

uid_t verb_file_owner(const struct conf *conf)
{
    struct stat st;

    return stat(conf->spool, &st) == 0 ? st.st_uid : geteuid();
}

int verb_begin_conf(const char *verb, struct conf **conf)
{
    struct err err;

    return conf_load(conf, &err) == RESULT_OK ? EX_OK : verb_fail_with(verb, EX_CONFIG, &err);
}

int verb_begin_store(const char *verb, bool check_version, struct conf **conf, struct store **store)
{
    struct err err;
    int status = verb_begin_conf(verb, conf);

    if (status != EX_OK)
        return status;
    *store = store_new((*conf)->database);
    if (store_connect(*store, check_version, &err) == RESULT_OK)
        return EX_OK;
    store_free(*store);
    conf_free(*conf);
    return verb_fail_with(verb, EX_UNAVAILABLE, &err);
}
