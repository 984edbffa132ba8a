/*
 * SPDX-License-Identifier: ISC
 *
 * How verbs begin and fail. VERB is "candhook VERB", the name that messages begin with.
 */
#ifndef CANDHOOK_VERB_BEGIN_H
#define CANDHOOK_VERB_BEGIN_H

#include "base/err.h"
#include "conf/conf.h"
#include "store/store.h"

#include <stdbool.h>
#include <sys/types.h>

/* Loads the configuration. Returns 0, or prints why not and returns the exit status; nothing is to be freed then. */
int verb_begin_conf(const char *verb, struct conf **conf);

/* The same, and connects to the database. CHECK_VERSION false: the schema may be missing or of another version. */
int verb_begin_store(const char *verb, bool check_version, struct conf **conf, struct store **store);

/* Prints "VERB: text of ERR" on stderr. Returns STATUS. */
int verb_fail_with(const char *verb, int status, const struct err *err);

/* The same with the status of RESULT: EX_TEMPFAIL for RESULT_RETRY, EX_SOFTWARE for RESULT_FAIL. */
int verb_fail(const char *verb, enum result result, const struct err *err);

/* The same for a file that people change: EX_DATAERR for RESULT_FAIL, since the file or the request is wrong. */
int verb_fail_file(const char *verb, enum result result, const struct err *err);

/* Returns the owner for a new file that the programs read: the owner of the spool, as whom they run. */
uid_t verb_file_owner(const struct conf *conf);

#endif
