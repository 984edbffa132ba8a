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

#include <stddef.h>

/*
 * Claims and runs one batch of one handler, under leases of WORKER. *RAN is its number of deliveries, 0 when nothing is
 * due. After an error, the deliveries become due again when their lease runs out.
 */
MUST_CHECK enum result kind_sql_step(struct store *store, const char *worker, size_t *ran, struct err *err);

/* Gives the milliseconds until something is due; -1 when nothing waits. */
MUST_CHECK enum result kind_sql_due_in(struct store *store, int *ms, struct err *err);

#endif
