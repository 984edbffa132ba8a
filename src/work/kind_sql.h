/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `sql`: functions in the database, which candhook_internal.run_sql calls in the transaction that
 * records their outcomes.
 */
#ifndef CANDHOOK_KIND_SQL_H
#define CANDHOOK_KIND_SQL_H

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The state between two batches. The caller sets the first two members; the others start as 0. */
struct kind_sql {
    struct store *store;
    const char *worker;  /* the name under which deliveries are claimed */
    int batch;           /* how many to claim next; 0 before the first batch */
    bool fast;           /* at the pace of the last batch, one of the largest size takes no longer than it should */
    bool one_by_one;     /* the last batch failed as a whole: the next one runs each event in its own transaction */
    int64_t lease_until; /* monotonic ms: until then every batch is leased, which counts attempts before they start */
};

/*
 * Claims and runs one batch of a handler that is not in BUSY. *RAN is its number of deliveries, 0 when nothing is due;
 * *HANDLER (freed by the caller; NULL when nothing is due) is its handler. After an error, the deliveries become due
 * again when their lease runs out.
 */
MUST_CHECK enum result kind_sql_step(struct kind_sql *sql, const char *const *busy, size_t busy_count, size_t *ran,
                                     char **handler, struct err *err);

/* Gives the milliseconds until something of a handler that is not in BUSY is due; -1 when nothing waits. */
MUST_CHECK enum result kind_sql_due_in(struct kind_sql *sql, const char *const *busy, size_t busy_count, int *ms,
                                       struct err *err);

#endif
