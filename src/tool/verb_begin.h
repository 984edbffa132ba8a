/*
 * SPDX-License-Identifier: ISC
 *
 * What nearly every verb begins with: its configuration, the log, a database. On failure it says why on stderr, and the
 * verb leaves with the status.
 */
#ifndef CANDHOOK_VERB_BEGIN_H
#define CANDHOOK_VERB_BEGIN_H

#include "base/err.h"
#include "conf/conf.h"
#include "store/store.h"

/* Loads the configuration. Returns 0, or the exit status after saying why not. */
int verb_begin_conf(const char *verb, struct conf **conf);

/* Loads the configuration and connects to the database. Returns 0, or the exit status after saying why not. */
int verb_begin_store(const char *verb, int check_version, struct conf **conf, struct store **store);

/* Says "candhook verb: text" on stderr and returns the exit status that RESULT means. */
int verb_fail(const char *verb, enum result result, const struct err *err);

#endif
