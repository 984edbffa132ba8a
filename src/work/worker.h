/*
 * SPDX-License-Identifier: ISC
 *
 * The worker of a spool: one process that records, and the runner processes that it starts and restarts.
 */
#ifndef CANDHOOK_WORKER_H
#define CANDHOOK_WORKER_H

#include "base/err.h"
#include "conf/conf.h"

#include <stdbool.h>

struct worker_options {
    bool once;           /* record everything, run everything that is due, and end */
    bool unless_stopped; /* end at once while `candhook stop` is in force; without this, it no longer is */
};

/*
 * Works until it is told to end, the executable or the schema's version changes, or, with `once`, nothing is left.
 * Returns RESULT_RETRY, with the pid in the description, when another worker has the spool's lock.
 */
MUST_CHECK enum result worker_run(const struct conf *conf, const struct worker_options *options, struct err *err);

#endif
