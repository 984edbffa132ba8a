/*
 * SPDX-License-Identifier: ISC
 *
 * Waiting for the database to come back: longer each time, and said once, not a thousand times.
 */
#ifndef CANDHOOK_BACKOFF_H
#define CANDHOOK_BACKOFF_H

#include "base/err.h"

struct backoff {
    int wait_ms;    /* 0: all is well */
    int said;       /* whether a failure was said, */
    struct err why; /* and which one last */
};

/*
 * Something failed: says WHAT and why unless that was said already (WHAT NULL: says nothing), then waits, up to 10 s
 * and with jitter, or until a signal comes.
 */
void backoff_wait(struct backoff *backoff, const char *what, const struct err *why);

/* It worked: the next failure waits briefly again. Says so if WHAT is not NULL and a failure had been said. */
void backoff_reset(struct backoff *backoff, const char *what);

#endif
