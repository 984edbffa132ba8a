/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `sql`: functions in the database, run by candhook.run_sql in the transaction that records their
 * outcomes.
 */
#ifndef CANDHOOK_KIND_SQL_H
#define CANDHOOK_KIND_SQL_H

#include "base/err.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

/* Who runs them. The caller sets the first two, and the rest is 0 at first. */
struct kind_sql {
    struct store *store;
    const char *worker; /* the name under which is claimed */
    int batch;          /* how many to claim next; 0 before the first */
    int quick;          /* the last batch was run at such a pace that the largest would not last long */
    int alone;          /* the last batch failed as a whole: the next is run one by one */
    int64_t
        wary_until; /* monotonic ms: until then every batch is leased, which counts its attempts before they begin */
};

/*
 * Claims and runs one batch, of none of the handlers in BUSY. *RAN is how many deliveries it held, 0 when nothing is
 * due; HANDLER (to be freed; NULL then) is whose they were. On an error what was claimed comes back by itself when the
 * lease runs out.
 */
MUST_CHECK enum result kind_sql_step(struct kind_sql *sql, const char *const *busy, size_t busy_count, size_t *ran,
                                     char **handler, struct err *err);

/* Milliseconds until something is due of which nobody in BUSY is the handler; -1 when nothing waits. */
MUST_CHECK enum result kind_sql_due_in(struct kind_sql *sql, const char *const *busy, size_t busy_count, int *ms,
                                       struct err *err);

#endif
