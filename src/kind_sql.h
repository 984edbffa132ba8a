/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `sql`: functions in the database, run by candhook.run_sql in the transaction that records their
 * outcomes.
 */
#ifndef CANDHOOK_KIND_SQL_H
#define CANDHOOK_KIND_SQL_H

#include <stddef.h>

#include "err.h"
#include "store.h"

/*
 * Claims and runs one batch in the name of WORKER, of none of the handlers in BUSY. *RAN is how many deliveries it
 * held, 0 when nothing is due; HANDLER (to be freed; NULL then) is whose they were. On an error what was claimed comes
 * back by itself when the lease runs out.
 */
MUST_CHECK enum result kind_sql_step(struct store *store, const char *worker, const char *const *busy,
                                     size_t busy_count, size_t *ran, char **handler, struct err *err);

/* Milliseconds until something is due of which nobody in BUSY is the handler; -1 when nothing waits. */
MUST_CHECK enum result kind_sql_due_in(struct store *store, const char *const *busy, size_t busy_count, int *ms,
                                       struct err *err);

#endif
