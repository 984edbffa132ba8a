/*
 * SPDX-License-Identifier: ISC
 *
 * Functions of the database as handlers. A batch is one call, which is fast, and mostly its deliveries are only locked
 * for it, which is faster. When something goes wrong that is not told apart by event (a time limit, a constraint at the
 * commit, a lost connection), batches are leased for a while, so that their attempts count whatever happens; and after
 * the first two it is one event a transaction, to find out whose fault it was; but not for long, since others wait.
 */
#include <config.h>

#include "work/kind_sql.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "work/outcome_log.h"

#include <stdint.h>

#define FIRST_BATCH 64
#define MIN_BATCH 16
#define MAX_BATCH 512
#define BATCH_MS 200   /* a batch is as many as took about so long lately */
#define ALONE_MS 10000 /* so long one event after the other is run; the rest of the batch is given back then */
#define SLOW_MS 1000   /* a batch that took longer, */
#define WARY_MS 60000  /* or went wrong, has the next ones leased for so long: people see then that they run */

static const char *const kinds[] = {"sql"};

/* One batch: whose it is, and how many of it have an outcome. */
struct run {
    const struct store_lease *lease;
    size_t outcomes;
};

static void see(void *context, const char *event_id, const char *result, const char *detail)
{
    struct run *run = context;

    run->outcomes++;
    outcome_log_attempt((void *)(uintptr_t)run->lease->handler, event_id, result, detail);
}

/* Runs one delivery in a transaction of its own; when that fails as a whole, the attempt failed. */
static enum result run_alone(struct store *store, struct run *run, const char *event_id, struct err *err)
{
    struct store_outcome outcome = {.event_id = event_id, .result = "retry", .started_ms = (uint64_t)clock_real_ms()};
    enum result result = store_run_sql(store, run->lease, event_id, run->lease->timeout_ms, see, run, err);

    if (result != RESULT_FAIL)
        return result;
    outcome.detail = err->text;
    outcome.finished_ms = (uint64_t)clock_real_ms();
    return store_finish(store, run->lease->number, &outcome, 1, see, run, err);
}

static enum result run_batch(struct store *store, struct run *run, int alone, struct err *err)
{
    const struct store_lease *lease = run->lease;
    int64_t until;
    enum result result = RESULT_FAIL;

    if (lease->number == 0)
        return store_run_sql(store, lease, NULL, lease->timeout_ms, see, run, err);
    if (lease->count > 1 && !alone)
        result = store_run_sql(store, lease, NULL, lease->timeout_ms, see, run, err);
    if (result != RESULT_FAIL)
        return result;
    until = clock_monotonic_ms() + ALONE_MS;
    for (size_t i = 0; i < lease->count; i++) {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            return store_give_back(store, lease->number, NULL, 0, err);
        if (i > 0 && (result = store_renew(store, lease->number, err)) != RESULT_OK)
            return result;
        result = run_alone(store, run, lease->deliveries[i].event_id, err);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

/* Learns from a batch how many to claim next: as many as BATCH_MS hold at this pace, at most twice as many as now. */
static void keep_pace(struct kind_sql *sql, size_t outcomes, int64_t took_ms)
{
    int64_t next = took_ms > 0 ? (int64_t)outcomes * BATCH_MS / took_ms : MAX_BATCH;

    sql->quick = next >= MAX_BATCH;
    next = next > 2 * sql->batch ? 2 * sql->batch : next;
    sql->batch = next < MIN_BATCH ? MIN_BATCH : next > MAX_BATCH ? MAX_BATCH : (int)next;
}

/*
 * Claims and runs a batch: the first one ever with a lease, since an earlier runner may have died of it. *FUTILE: it
 * was only locked, and failed as a whole, so it is due as before.
 */
static enum result step(struct kind_sql *sql, const struct store_share *share, size_t *ran, char **handler, int *futile,
                        struct err *err)
{
    int only_lock = sql->batch != 0 && clock_monotonic_ms() >= sql->wary_until;
    int64_t began;
    struct store_lease lease;
    struct run run = {.lease = &lease};
    enum result result;

    result =
        store_claim(sql->store, sql->worker, sql->batch > 0 ? sql->batch : FIRST_BATCH, only_lock, share, &lease, err);
    if (result != RESULT_OK)
        return result;
    *ran = lease.count;
    if (lease.count > 0) {
        if (sql->batch == 0)
            sql->batch = FIRST_BATCH;
        *handler = memory_copy_text(lease.handler);
        began = clock_monotonic_ms();
        result = run_batch(sql->store, &run, sql->alone, err);
        keep_pace(sql, run.outcomes, clock_monotonic_ms() - began);
        *futile = lease.number == 0 && result == RESULT_FAIL;
    }
    store_free_lease(&lease);
    return result;
}

enum result kind_sql_step(struct kind_sql *sql, const char *const *busy, size_t busy_count, size_t *ran, char **handler,
                          struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};
    int64_t began = clock_monotonic_ms();
    int futile = 0;
    enum result result;

    *ran = 0;
    *handler = NULL;
    result = step(sql, &share, ran, handler, &futile, err);
    if (result != RESULT_OK || futile || clock_monotonic_ms() - began >= SLOW_MS)
        sql->wary_until = clock_monotonic_ms() + WARY_MS;
    sql->alone = futile;
    return sql->alone ? RESULT_OK : result;
}

enum result kind_sql_due_in(struct kind_sql *sql, const char *const *busy, size_t busy_count, int *ms, struct err *err)
{
    const struct store_share share = {kinds, 1, busy, busy_count};

    return store_due_in(sql->store, &share, ms, err);
}
