/*
 * SPDX-License-Identifier: ISC
 *
 * Functions of the database as handlers: the deliveries that were not handled when they were recorded. A batch is
 * leased, and then run by one call in one transaction. When that fails as a whole (a timeout, a constraint checked at
 * the commit, a lost connection), each event is run in a transaction of its own, which finds the one that fails; but
 * only for some seconds, since other handlers wait.
 */
#include <config.h>

#include "work/kind_sql.h"

#include "base/clock.h"
#include "base/signals.h"
#include "work/outcomes.h"

#define BATCH 128
#define ONE_BY_ONE_MS 10000 /* events run one by one for this long; the rest of the batch is given back then */

static const char *const kinds[] = {"sql"};
static const struct store_share share = {.kinds = kinds, .kind_count = 1};

static void log_recorded(void *lease, const char *event_id, const char *result, const char *detail)
{
    outcomes_attempt(((const struct store_lease *)lease)->handler, event_id, result, detail);
}

/* Runs one delivery in a transaction of its own. When that fails as a whole, the attempt has failed. */
static enum result run_event(struct store *store, struct store_lease *lease, const char *event_id, struct err *err)
{
    const struct store_outcome_listener listener = {log_recorded, lease};
    struct store_outcome outcome = {.event_id = event_id, .result = "retry", .started_ms = (uint64_t)clock_real_ms()};
    enum result result = store_run_sql(store, lease, event_id, &listener, err);

    if (result != RESULT_FAIL)
        return result;
    outcome.detail = err->text;
    outcome.finished_ms = (uint64_t)clock_real_ms();
    return store_finish(store, lease->number, &outcome, &listener, err);
}

/* Runs the events of a batch one by one. What is left when the time is over is given back. */
static enum result run_one_by_one(struct store *store, struct store_lease *lease, struct err *err)
{
    int64_t until = clock_monotonic_ms() + ONE_BY_ONE_MS;
    enum result result = RESULT_OK;
    size_t held; /* run_sql looks for itself */

    for (size_t i = 0; i < lease->count && result == RESULT_OK; i++) {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            return store_give_back(store, lease->number, err);
        if (i > 0)
            result = store_renew(store, lease->number, &held, err);
        if (result == RESULT_OK)
            result = run_event(store, lease, lease->deliveries[i].event_id, err);
    }
    return result;
}

enum result kind_sql_step(struct store *store, const char *worker, size_t *ran, struct err *err)
{
    const struct store_claim claim = {.worker = worker, .batch = BATCH, .share = share};
    struct store_lease lease;
    const struct store_outcome_listener listener = {log_recorded, &lease};
    enum result result = store_claim(store, &claim, &lease, err);

    *ran = 0;
    if (result != RESULT_OK)
        return result;
    *ran = lease.count;
    if (lease.count > 0)
        result = store_run_sql(store, &lease, NULL, &listener, err);
    if (result == RESULT_FAIL)
        result = run_one_by_one(store, &lease, err);
    store_free_lease(&lease);
    return result;
}

enum result kind_sql_due_in(struct store *store, int *ms, struct err *err)
{
    return store_due_in(store, &share, ms, err);
}
