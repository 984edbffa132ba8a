/*
 * SPDX-License-Identifier: ISC
 *
 * One attempt of a handler that runs outside the database (kinds c, exec, http): what the files kind_*.c run and end.
 */
#ifndef CANDHOOK_ATTEMPT_H
#define CANDHOOK_ATTEMPT_H

#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

#define ATTEMPT_DETAIL_BYTES 4000 /* of what a handler says; as many are kept in the database */

enum attempt_state {
    ATTEMPT_WAITS, /* leased, not begun */
    ATTEMPT_RUNS,
    ATTEMPT_ENDED,  /* its outcome is not recorded yet */
    ATTEMPT_SETTLED /* recorded, or of no interest any more */
};

struct attempt {
    const struct store_lease *lease;
    const struct store_delivery *delivery;
    enum attempt_state state;
    int64_t deadline;  /* monotonic ms */
    int token_refused; /* the canD API did not take the bot token */
    struct store_outcome outcome;
    void *doing; /* what its kind keeps while it runs */
};

/* It runs from now on, until its deadline. */
void attempt_begin(struct attempt *attempt);

/* It has ended: RESULT is "ok", "retry" or "failed", DETAIL (allocated, may be NULL) is taken over, without the token.
 */
void attempt_end(struct attempt *attempt, const char *result, char *detail);

/* The same with a detail as printf makes it. */
void attempt_end_with(struct attempt *attempt, const char *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void attempt_free(struct attempt *attempt);

#endif
