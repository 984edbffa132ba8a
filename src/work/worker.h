/*
 * SPDX-License-Identifier: ISC
 *
 * The worker of a spool: one process that records, and the runner processes that it starts and minds.
 */
#ifndef CANDHOOK_WORKER_H
#define CANDHOOK_WORKER_H

#include "base/err.h"
#include "conf/conf.h"

struct worker_options {
    int once;           /* record all, run all that is due, end */
    int unless_stopped; /* end at once when a person stopped the worker; else such a stop is over now */
};

/*
 * Works until told to end, until the executable or the schema changed, or, with `once`, until nothing is left. Returns
 * RESULT_RETRY when another worker holds the spool, with its pid in the description.
 */
MUST_CHECK enum result worker_run(const struct conf *conf, const struct worker_options *options, struct err *err);

#endif
