/*
 * SPDX-License-Identifier: ISC
 *
 * A runner. What an attempt's failure leads to (retry, back-off, the end) is settled by the schema; here is only how
 * each kind of handler is run.
 */
#include <config.h>

#include "runner.h"

#include "clock.h"
#include "log.h"
#include "native.h"
#include "patience.h"
#include "signals.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define FINISH_TRIES 8       /* 100 ms to 6.4 s apart: about as long as a lease lasts */
#define LONGEST_WAIT_MS 5000 /* without a notification, which a connection pooler may swallow */

struct run {
    struct store *store;
    const struct store_lease *lease;
};

static void say_outcome(void *context, const char *event_id, const char *result, const char *detail)
{
    const struct run *run = context;
    struct log_quoted handler, quoted;
    const char *name = log_quote(&handler, run->lease->handler, strlen(run->lease->handler));
    const char *text = log_quote(&quoted, detail, detail != NULL ? strlen(detail) : 0);

    if (strcmp(result, "ok") == 0)
        log_debug("event=%s handler=%s outcome=ok detail=%s", event_id, name, text);
    else
        log_warning("event=%s handler=%s outcome=%s detail=%s", event_id, name, result, text);
}

/* Runs one delivery of an sql handler in a transaction of its own; when that fails as a whole, the attempt failed. */
static enum result run_sql_alone(struct run *run, const char *event_id, struct err *err)
{
    struct store_outcome outcome = {.event_id = event_id, .result = "retry", .started_ms = (uint64_t)clock_real_ms()};
    enum result result = store_run_sql(run->store, run->lease, event_id, run->lease->timeout_ms, say_outcome, run, err);

    if (result != RESULT_FAIL)
        return result;
    outcome.detail = err->text;
    outcome.finished_ms = (uint64_t)clock_real_ms();
    return store_finish(run->store, run->lease->number, &outcome, 1, say_outcome, run, err);
}

/* All deliveries in one call, which is fast; one a transaction when that call failed, to find out whose fault it was.
 */
static enum result run_sql(struct run *run, struct err *err)
{
    enum result result = RESULT_FAIL;

    if (run->lease->count > 1)
        result = store_run_sql(run->store, run->lease, NULL, run->lease->timeout_ms, say_outcome, run, err);
    if (result != RESULT_FAIL)
        return result;
    for (size_t i = 0; i < run->lease->count; i++) {
        if (signals_stop_asked())
            return store_give_back(run->store, run->lease->number, err);
        if (i > 0 && (result = store_renew(run->store, run->lease->number, err)) != RESULT_OK)
            return result;
        result = run_sql_alone(run, run->lease->deliveries[i].event_id, err);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static void renew(void *context)
{
    const struct run *run = context;
    struct err err;

    if (store_connect(run->store, 0, &err) != RESULT_OK ||
        store_renew(run->store, run->lease->number, &err) != RESULT_OK)
        log_debug("lease=%lld not renewed reason=\"%s\"", (long long)run->lease->number, err.text);
}

/* Settles what was run. The database may have gone meanwhile: as long as the lease may last, it is tried again. */
static enum result finish(struct run *run, const struct store_outcome *outcomes, size_t count, struct err *err)
{
    struct patience patience = {0};
    enum result result = RESULT_RETRY;

    for (int tries = 0; tries < FINISH_TRIES && result == RESULT_RETRY; tries++) {
        if (tries > 0)
            patience_lose(&patience, NULL, err);
        result = store_connect(run->store, 0, err);
        if (result == RESULT_OK)
            result = store_finish(run->store, run->lease->number, outcomes, count, say_outcome, run, err);
    }
    return result;
}

static enum result run_native(struct run *run, const struct conf *conf, struct err *err)
{
    struct store_outcome *outcomes = calloc(run->lease->count, sizeof *outcomes);
    enum result result = RESULT_OK;
    struct err no_process;
    size_t done;

    if (outcomes == NULL)
        abort();
    done = native_run(conf->handler_dir, run->lease, outcomes, renew, run, &no_process);
    if (done > 0)
        result = finish(run, outcomes, done, err);
    if (result == RESULT_OK && done < run->lease->count)
        result = store_give_back(run->store, run->lease->number, err);
    if (result == RESULT_OK && done < run->lease->count && !signals_stop_asked()) {
        *err = no_process;
        result = RESULT_FAIL;
    }
    native_free_details(outcomes, done);
    free(outcomes);
    return result;
}

enum result runner_step(const struct conf *conf, struct store *store, const char *worker, size_t *ran, struct err *err)
{
    struct store_lease lease;
    struct run run = {store, &lease};
    enum result result = store_claim(store, worker, BATCH, &lease, err);

    *ran = 0;
    if (result != RESULT_OK)
        return result;
    *ran = lease.count;
    if (lease.count == 0)
        result = RESULT_OK;
    else if (strcmp(lease.kind, "sql") == 0)
        result = run_sql(&run, err);
    else
        result = run_native(&run, conf, err);
    store_free_lease(&lease);
    return result;
}

/* Waits until something may be due. */
static enum result wait_until_due(struct store *store, struct err *err)
{
    int ms;
    enum result result = store_due_in(store, &ms, err);

    if (result != RESULT_OK)
        return result;
    store_wait(store, ms >= 0 && ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS);
    return RESULT_OK;
}

void runner_main(const struct conf *conf, const char *worker)
{
    struct store *store = store_new(conf->database);
    struct patience patience = {0};

    while (!signals_stop_asked()) {
        struct err err;
        size_t ran = 0;
        enum result result = store_connect(store, 1, &err);

        if (result == RESULT_OK)
            result = store_listen(store, &err);
        while (result == RESULT_OK && !signals_stop_asked()) {
            result = runner_step(conf, store, worker, &ran, &err);
            if (result == RESULT_OK)
                patience_rest(&patience, "handling");
            if (result == RESULT_OK && ran == 0)
                result = wait_until_due(store, &err);
            else if (result == RESULT_OK)
                signals_poll(NULL, 0, 0); /* lets a signal in */
        }
        if (result != RESULT_OK) {
            store_disconnect(store);
            /* A lost database is said by the recorder, which loses it too. */
            patience_lose(&patience, result == RESULT_FAIL ? "handling" : NULL, &err);
        }
    }
    store_free(store);
}
