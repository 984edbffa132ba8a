/*
 * SPDX-License-Identifier: ISC
 *
 * The loop of a runner process. It waits until a delivery is due, for a notification of the schema, and for a wake-up
 * from its worker when something was recorded. The wake-up needs no database: it works behind every connection pooler.
 */
#include <config.h>

#include "work/runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/signals.h"
#include "store/store.h"
#include "work/backoff.h"
#include "work/dispatch.h"
#include "work/kind_sql.h"
#include "work/processors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_WAIT_MS 5000 /* a connection pooler may drop notifications */
#define SPARE_WAIT_MS 1000   /* the same for a spare runner, which is woken up only when the first one is busy */
#define SPARE_REST_MS 500    /* how long a spare runner leaves fast handlers to the first one */
#define YIELD_MS 100         /* longest rest in favour of the answers */
#define CALM_MS 100          /* with nothing recorded for this long, no events come in */
#define SLOW_MS 2000         /* a batch that took longer makes its handler a slow one, */
#define SLOW_FOR_MS 60000    /* for this long */
#define SLOW_MAX 16

struct slow_handler {
    char *name;
    int64_t until; /* monotonic ms */
};

struct runner {
    const struct runner_options *options;
    struct store *store;
    struct kind_sql sql;
    struct backoff backoff;
    struct processors processors;
    struct slow_handler slow[SLOW_MAX];
    size_t slow_count;
};

/* ---- waiting ---- */

static void take_wakeup(const struct runner_options *options)
{
    uint64_t count;

    (void)!read(options->wake_fd, &count, sizeof count);
}

/* Waits for a wake-up, a notification, or TIMEOUT_MS. Returns whether one came. */
static bool wait_for_wakeup(struct runner *runner, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = runner->options->wake_fd, .events = POLLIN},
                            {.fd = store_descriptor(runner->store), .events = POLLIN}};
    bool woken = false;

    if (signals_poll(fds, 2, timeout_ms) < 0)
        return false;
    if (fds[0].revents != 0) {
        take_wakeup(runner->options);
        woken = true;
    }
    if (fds[1].revents != 0 && (store_take_notifications(runner->store) || store_descriptor(runner->store) < 0))
        woken = true; /* also when the connection is lost */
    return woken;
}

/* ---- sql ---- */

static size_t list_slow_handlers(struct runner *runner, const char **busy)
{
    size_t count = 0;

    for (size_t i = 0; i < runner->slow_count; i++)
        if (runner->slow[i].until > clock_monotonic_ms())
            busy[count++] = runner->slow[i].name;
    return count;
}

/* Remembers a handler (NAME is taken over) as slow. Replaces the oldest entry when there is no room. */
static void remember_slow_handler(struct runner *runner, char *name)
{
    struct slow_handler *entry = &runner->slow[0];

    for (size_t i = 0; i < SLOW_MAX; i++) {
        if (i == runner->slow_count)
            runner->slow_count++;
        if (runner->slow[i].name == NULL || strcmp(runner->slow[i].name, name) == 0) {
            entry = &runner->slow[i];
            break;
        }
        if (runner->slow[i].until < entry->until)
            entry = &runner->slow[i];
    }
    free(entry->name);
    entry->name = name;
    entry->until = clock_monotonic_ms() + SLOW_FOR_MS;
}

static bool events_come_in(const struct runner *runner)
{
    return clock_monotonic_ms() - atomic_load(runner->options->recorded_at) < CALM_MS;
}

/* Returns whether the first runner can do alone what this one has just helped with. */
static bool may_rest(const struct runner *runner)
{
    return runner->options->spare && runner->sql.fast && events_come_in(runner);
}

/*
 * Returns how long to rest after a batch that took BATCH_MS. Where no processor is idle, half of the time is left to
 * answering and recording: an event that is not accepted in time may be lost, one that waits for its handler is not.
 */
static int yield_ms(struct runner *runner, int64_t batch_ms)
{
    if (!events_come_in(runner) || !processors_busy(&runner->processors))
        return 0;
    return batch_ms < YIELD_MS ? (int)batch_ms : YIELD_MS;
}

/* Waits until a batch of a handler that is not in BUSY may be due. */
static enum result wait_for_sql(struct runner *runner, const char *const *busy, size_t busy_count, struct err *err)
{
    int longest = runner->options->spare ? SPARE_WAIT_MS : LONGEST_WAIT_MS, ms;
    enum result result = kind_sql_due_in(&runner->sql, busy, busy_count, &ms, err);

    /* A notification may have been read together with the answer: then its descriptor is not readable. */
    if (result == RESULT_OK && !store_take_notifications(runner->store))
        wait_for_wakeup(runner, ms >= 0 && ms < longest ? ms : longest);
    return result;
}

/* Runs a batch, or waits until one may be due. */
static enum result step_sql(struct runner *runner, struct err *err)
{
    const char *busy[SLOW_MAX];
    size_t ran, busy_count = list_slow_handlers(runner, busy);
    int64_t began = clock_monotonic_ms();
    char *handler;
    enum result result;

    take_wakeup(
        runner->options); /* one that stays unread tells the worker that this runner is busy with a long batch */
    result = kind_sql_step(&runner->sql, busy, busy_count, &ran, &handler, err);
    if (result == RESULT_OK)
        backoff_reset(&runner->backoff, "handling");
    if (handler != NULL && runner->options->first && clock_monotonic_ms() - began >= SLOW_MS)
        remember_slow_handler(runner, handler);
    else
        free(handler);
    if (result != RESULT_OK)
        return result;
    if (ran == 0)
        return wait_for_sql(runner, busy, busy_count, err);
    if (may_rest(runner))
        wait_for_wakeup(runner, SPARE_REST_MS);
    else
        signals_poll(NULL, 0, yield_ms(runner, clock_monotonic_ms() - began)); /* lets a signal in */
    return RESULT_OK;
}

/* ---- the other kinds ---- */

static void run_dispatch(const struct conf *conf, const struct runner_options *options)
{
    struct dispatch *dispatch = dispatch_new(conf, options->name);

    while (!signals_stop_asked()) {
        struct pollfd wake = {.fd = options->wake_fd, .events = POLLIN};

        dispatch_step(dispatch);
        dispatch_wait(dispatch, &wake, 1, -1);
        if (wake.revents == 0)
            continue;
        take_wakeup(options);
        dispatch_claim_now(dispatch);
    }
    dispatch_finish(dispatch);
    dispatch_free(dispatch);
}

/* ---- life ---- */

/* Works on one connection until a step fails or the runner is told to end. */
static enum result run_connected(struct runner *runner, struct err *err)
{
    enum result result = store_connect(runner->store, true, err);

    if (result == RESULT_OK)
        result = store_listen(runner->store, err);
    while (result == RESULT_OK && !signals_stop_asked())
        result = step_sql(runner, err);
    return result;
}

static void run_sql_handlers(const struct conf *conf, const struct runner_options *options)
{
    struct runner runner = {.options = options, .store = store_new(conf->database)};
    enum result result;
    struct err err;

    runner.sql = (struct kind_sql){.store = runner.store, .worker = options->name};
    while (!signals_stop_asked()) {
        result = run_connected(&runner, &err);
        if (result == RESULT_OK)
            continue;
        store_disconnect(runner.store);
        /* The recorder logs a lost database: it loses it, too. */
        backoff_wait(&runner.backoff, result == RESULT_FAIL ? "handling" : NULL, &err);
    }
    for (size_t i = 0; i < runner.slow_count; i++)
        free(runner.slow[i].name);
    store_free(runner.store);
}

void runner_main(const struct conf *conf, const struct runner_options *options)
{
    if (options->dispatch)
        run_dispatch(conf, options);
    else
        run_sql_handlers(conf, options);
}
