/*
 * SPDX-License-Identifier: ISC
 *
 * One attempt of a handler that runs outside the database (kinds c, exec, http). The dispatcher makes attempts, the
 * files kind_*.c run and end them.
 */
#ifndef CANDHOOK_ATTEMPT_H
#define CANDHOOK_ATTEMPT_H

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTEMPT_DETAIL_BYTES 4000 /* longest detail that the database keeps */

enum attempt_state {
    ATTEMPT_WAITS, /* leased, not started */
    ATTEMPT_RUNS,
    ATTEMPT_ENDED,  /* its outcome is not recorded yet */
    ATTEMPT_SETTLED /* recorded, or its lease is lost */
};

struct attempt {
    const struct store_lease *lease;
    const struct store_delivery *delivery;
    enum attempt_state state;
    int64_t deadline;     /* monotonic ms */
    bool token_refused;   /* the canD API has refused the bot token, which is not marked yet */
    bool outcome_refused; /* by the database: what is to be recorded now tells of it */
    struct store_outcome outcome;
    void *kind_data; /* while it runs: owned by the file of its kind */
};

/* Marks the attempt as running: its timeout starts now. */
void attempt_begin(struct attempt *attempt);

/*
 * Ends the attempt. RESULT, borrowed for good, is "ok", "retry" or "failed". DETAIL (allocated, may be NULL) is taken
 * over, and may be of any length; where it shows the bot token, [token] is put in its place.
 */
void attempt_end(struct attempt *attempt, const char *result, char *detail);

/* Like attempt_end, with a detail formatted as by printf. */
void attempt_end_with(struct attempt *attempt, const char *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Frees the outcome's detail. */
void attempt_free(struct attempt *attempt);

#endif
