/*
 * SPDX-License-Identifier: ISC
 *
 * The processes that run handlers. Several of them run those of kind sql, each one batch after the other in the
 * database. One more, with the dispatcher, runs all other kinds, many attempts at once. So neither delays the other.
 */
#ifndef CANDHOOK_RUNNER_H
#define CANDHOOK_RUNNER_H

#include "conf/conf.h"

#include <stdbool.h>

struct runner_options {
    const char *name; /* of its leases */
    int wake_fd;      /* an eventfd: readable while a wake-up waits, since deliveries were made */
    bool dispatch;    /* runs the kinds c, exec and http */
};

/* What a runner process does until it is told to end. */
void runner_main(const struct conf *conf, const struct runner_options *options);

#endif
