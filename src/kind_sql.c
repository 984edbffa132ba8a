/*
 * SPDX-License-Identifier: ISC
 *
 * Functions of the database as handlers. A batch is one call, which is fast. When that call fails as a whole (a time
 * limit, a constraint at the commit), it is one event a transaction, to find out whose fault it was; but not for long,
 * since others wait.
 */
#include <config.h>

#include "kind_sql.h"

#include "clock.h"
#include "outcome.h"
#include "signals.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define ALONE_MS 10000 /* so long one event after the other is run; the rest of the batch is given back then */

static const char *const kinds[] = {"sql"};

static void *name_of(const struct store_lease *lease)
{
    return (void *)(uintptr_t)lease->handler;
}

/* Runs one delivery in a transaction of its own; when that fails as a whole, the attempt failed. */
static enum result run_alone(struct store *store, const struct store_lease *lease, const char *event_id,
                             struct err *err)
{
    struct store_outcome outcome = {.event_id = event_id, .result = "retry", .started_ms = (uint64_t)clock_real_ms()};
    enum result result = store_run_sql(store, lease, event_id, lease->timeout_ms, outcome_say, name_of(lease), err);

    if (result != RESULT_FAIL)
        return result;
    outcome.detail = err->text;
    outcome.finished_ms = (uint64_t)clock_real_ms();
    return store_finish(store, lease->number, &outcome, 1, outcome_say, name_of(lease), err);
}

static enum result run(struct store *store, const struct store_lease *lease, struct err *err)
{
    int64_t until;
    enum result result = RESULT_FAIL;

    if (lease->count > 1)
        result = store_run_sql(store, lease, NULL, lease->timeout_ms, outcome_say, name_of(lease), err);
    if (result != RESULT_FAIL)
        return result;
    until = clock_monotonic_ms() + ALONE_MS;
    for (size_t i = 0; i < lease->count; i++) {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            return store_give_back(store, lease->number, NULL, 0, err);
        if (i > 0 && (result = store_renew(store, lease->number, err)) != RESULT_OK)
            return result;
        result = run_alone(store, lease, lease->deliveries[i].event_id, err);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

enum result kind_sql_step(struct store *store, const char *worker, const char *const *busy, size_t busy_count,
                          size_t *ran, char **handler, struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};
    struct store_lease lease;
    enum result result = store_claim(store, worker, BATCH, &share, &lease, err);

    *ran = 0;
    *handler = NULL;
    if (result != RESULT_OK)
        return result;
    *ran = lease.count;
    if (lease.count > 0) {
        *handler = strdup(lease.handler);
        if (*handler == NULL)
            abort();
        result = run(store, &lease, err);
    }
    store_free_lease(&lease);
    return result;
}

enum result kind_sql_due_in(struct store *store, const char *const *busy, size_t busy_count, int *ms, struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};

    return store_due_in(store, &share, ms, err);
}
