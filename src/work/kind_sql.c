/*
 * SPDX-License-Identifier: ISC
 *
 * Functions of the database as handlers. A batch is one call in one transaction, and most batches are only locked for
 * it: that saves the commit of a lease. After a failure that belongs to no single event (a timeout, a constraint
 * checked at the commit, a lost connection), batches are leased for a minute, so that their attempts count even if the
 * server crashes in them. A leased batch that fails as a whole is run again with each event in a transaction of its
 * own, which finds the event that fails; but only for some seconds, since other handlers wait.
 */
#include <config.h>

#include "work/kind_sql.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "work/outcome_log.h"

#define FIRST_BATCH 64
#define MIN_BATCH 16
#define MAX_BATCH 512
#define BATCH_MS 200        /* a batch has as many deliveries as recently took about this long */
#define ONE_BY_ONE_MS 10000 /* events run one by one for this long; the rest of the batch is given back then */
#define SLOW_MS 1000        /* a batch that takes longer is slow */
/* After a batch that was slow or failed, lease for this long: leased deliveries are visible in candhook.due and count
   their attempts. */
#define LEASE_MS 60000

static const char *const kinds[] = {"sql"};

/* A batch while it runs. */
struct sql_batch {
    struct store_lease lease;
    size_t outcomes; /* how many were recorded */
    bool futile;     /* it was only locked, and failed as a whole: its deliveries are due as before */
};

static void count_outcome(void *context, const char *event_id, const char *result, const char *detail)
{
    struct sql_batch *batch = context;

    batch->outcomes++;
    outcome_log_attempt(batch->lease.handler, event_id, result, detail);
}

/* Runs one delivery in a transaction of its own. When that fails as a whole, the attempt has failed. */
static enum result run_event(struct store *store, struct sql_batch *batch, const char *event_id, struct err *err)
{
    const struct store_outcome_listener listener = {count_outcome, batch};
    struct store_outcome outcome = {.event_id = event_id, .result = "retry", .started_ms = (uint64_t)clock_real_ms()};
    enum result result = store_run_sql(store, &batch->lease, event_id, &listener, err);

    if (result != RESULT_FAIL)
        return result;
    outcome.detail = err->text;
    outcome.finished_ms = (uint64_t)clock_real_ms();
    return store_finish(store, batch->lease.number, &outcome, 1, &listener, err);
}

/* Runs the events of a leased batch one by one. What is left when the time is over is given back. */
static enum result run_one_by_one(struct store *store, struct sql_batch *batch, struct err *err)
{
    const struct store_lease *lease = &batch->lease;
    int64_t until = clock_monotonic_ms() + ONE_BY_ONE_MS;
    enum result result = RESULT_OK;
    size_t held; /* run_sql looks for itself */

    for (size_t i = 0; i < lease->count && result == RESULT_OK; i++) {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            return store_give_back(store, lease->number, NULL, 0, err);
        if (i > 0)
            result = store_renew(store, lease->number, &held, err);
        if (result == RESULT_OK)
            result = run_event(store, batch, lease->deliveries[i].event_id, err);
    }
    return result;
}

static enum result run_batch(struct store *store, struct sql_batch *batch, bool one_by_one, struct err *err)
{
    const struct store_outcome_listener listener = {count_outcome, batch};
    bool only_locked = batch->lease.number == 0;
    enum result result = RESULT_FAIL;

    if (only_locked || (batch->lease.count > 1 && !one_by_one))
        result = store_run_sql(store, &batch->lease, NULL, &listener, err);
    if (result == RESULT_FAIL && !only_locked)
        return run_one_by_one(store, batch, err);
    batch->futile = result == RESULT_FAIL;
    return result;
}

/* Sets the size of the next batch: as many as take BATCH_MS at the pace of this one, at most twice its size. */
static void adapt_batch_size(struct kind_sql *sql, size_t outcomes, int64_t took_ms)
{
    int64_t next = took_ms > 0 ? (int64_t)outcomes * BATCH_MS / took_ms : MAX_BATCH;

    sql->fast = next >= MAX_BATCH;
    next = next > 2 * sql->batch ? 2 * sql->batch : next;
    sql->batch = next < MIN_BATCH ? MIN_BATCH : next > MAX_BATCH ? MAX_BATCH : (int)next;
}

/* Claims and runs a batch. The first one is leased: a runner before this one may have died of it. */
static enum result claim_and_run_batch(struct kind_sql *sql, const struct store_share *share, struct sql_batch *batch,
                                       struct err *err)
{
    const struct store_claim claim = {
        .worker = sql->worker,
        .batch = sql->batch > 0 ? sql->batch : FIRST_BATCH,
        .only_lock = sql->batch != 0 && clock_monotonic_ms() >= sql->lease_until,
        .share = *share,
    };
    int64_t began;
    enum result result = store_claim(sql->store, &claim, &batch->lease, err);

    if (result != RESULT_OK || batch->lease.count == 0)
        return result;
    sql->batch = claim.batch;
    began = clock_monotonic_ms();
    result = run_batch(sql->store, batch, sql->one_by_one, err);
    adapt_batch_size(sql, batch->outcomes, clock_monotonic_ms() - began);
    return result;
}

enum result kind_sql_step(struct kind_sql *sql, const char *const *busy, size_t busy_count, size_t *ran, char **handler,
                          struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};
    struct sql_batch batch = {.outcomes = 0};
    int64_t began = clock_monotonic_ms();
    enum result result = claim_and_run_batch(sql, &share, &batch, err);

    *ran = batch.lease.count;
    *handler = memory_copy_text(batch.lease.handler);
    store_free_lease(&batch.lease);
    if (result != RESULT_OK || clock_monotonic_ms() - began >= SLOW_MS)
        sql->lease_until = clock_monotonic_ms() + LEASE_MS;
    sql->one_by_one = batch.futile;
    return batch.futile ? RESULT_OK : result;
}

enum result kind_sql_due_in(struct kind_sql *sql, const char *const *busy, size_t busy_count, int *ms, struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};

    return store_due_in(sql->store, &share, ms, err);
}
