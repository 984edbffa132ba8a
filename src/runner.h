/*
 * SPDX-License-Identifier: ISC
 *
 * A runner: claims batches of due deliveries, runs their handlers, and settles them.
 */
#ifndef CANDHOOK_RUNNER_H
#define CANDHOOK_RUNNER_H

#include <stddef.h>

#include "conf.h"
#include "err.h"
#include "store.h"

/*
 * Claims and runs one batch in the name of WORKER. *RAN is how many deliveries it held, 0 when nothing is due. On an
 * error what was claimed comes back by itself when the lease runs out.
 */
MUST_CHECK enum result runner_step(const struct conf *conf, struct store *store, const char *worker, size_t *ran,
                                   struct err *err);

/* The life of a runner process: steps until told to end, and waits while there is nothing to do. */
void runner_main(const struct conf *conf, const char *worker);

#endif
