/*
 * SPDX-License-Identifier: ISC
 *
 * The back-off of a loop that fails, mostly because the database is away. Logs each new reason once, not each failure.
 */
#ifndef CANDHOOK_BACKOFF_H
#define CANDHOOK_BACKOFF_H

#include "base/err.h"

#include <stdbool.h>

/* Starts as {0}. */
struct backoff {
    int wait_ms;       /* of the last wait; 0: nothing has failed since the last reset */
    bool logged;       /* a failure was logged, */
    struct err reason; /* with this reason */
};

/*
 * Returns the milliseconds to wait before the next try: 100 doubling to 10,000, with jitter. Logs `WHAT=failing` once
 * per new reason; WHAT NULL logs nothing.
 */
int backoff_next(struct backoff *backoff, const char *what, const struct err *reason);

/* Waits for as long as backoff_next returns; a signal ends the wait. */
void backoff_wait(struct backoff *backoff, const char *what, const struct err *reason);

/* To be called after a success: the next wait is 100 ms again. Logs `WHAT=recovered` when a failure had been logged. */
void backoff_reset(struct backoff *backoff, const char *what);

#endif
