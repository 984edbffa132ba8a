/*
 * SPDX-License-Identifier: ISC
 *
 * The loop of a runner process. It waits until a delivery is due, for a notification of the schema, and for a wake-up
 * from its worker when deliveries were made. The wake-up needs no database: it works behind every connection pooler.
 */
#include <config.h>

#include "work/runner.h"

#include "base/signals.h"
#include "store/store.h"
#include "work/backoff.h"
#include "work/dispatch.h"
#include "work/kind_sql.h"
#include "work/outcomes.h"

#include <unistd.h>

#define LONGEST_WAIT_MS 5000 /* a connection pooler may drop notifications */

/* ---- sql ---- */

static void take_wakeup(const struct runner_options *options)
{
    uint64_t count;

    (void)!read(options->wake_fd, &count, sizeof count);
}

/* Returns the shorter time of two, of which -1 is none. */
static int sooner_ms(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Waits until a batch may be due. */
static enum result wait_for_sql(struct store *store, const struct runner_options *options, struct err *err)
{
    struct pollfd fds[2] = {{.fd = options->wake_fd, .events = POLLIN},
                            {.fd = store_descriptor(store), .events = POLLIN}};
    int ms;
    enum result result = kind_sql_due_in(store, &ms, err);

    /* A notification may have been read together with the answer: then its descriptor is not readable. */
    if (result != RESULT_OK || store_take_notifications(store))
        return result;
    if (signals_poll(fds, 2, sooner_ms(ms, sooner_ms(outcomes_write_due(), LONGEST_WAIT_MS))) <= 0)
        return RESULT_OK;
    if (fds[0].revents != 0)
        take_wakeup(options);
    if (fds[1].revents != 0)
        store_take_notifications(store);
    return RESULT_OK;
}

/* Works on one connection until a step fails or the runner is told to end. What it ran on the last one is lost. */
static enum result run_connected(struct store *store, const struct runner_options *options, struct backoff *backoff,
                                 struct err *err)
{
    size_t ran;
    enum result result = store_connect(store, true, err);

    if (result == RESULT_OK)
        result = store_listen(store, err);
    if (result == RESULT_OK)
        result = store_release(store, options->name, err);
    while (result == RESULT_OK && !signals_stop_asked()) {
        result = kind_sql_step(store, options->name, &ran, err);
        if (result == RESULT_OK)
            backoff_reset(backoff, "handling");
        if (result == RESULT_OK && ran == 0)
            result = wait_for_sql(store, options, err);
        else
            signals_poll(NULL, 0, 0); /* lets a signal in */
    }
    return result;
}

static void run_sql_handlers(const struct conf *conf, const struct runner_options *options)
{
    struct store *store = store_new(conf->database);
    struct backoff backoff = {0};
    struct err err;

    while (!signals_stop_asked()) {
        enum result result = run_connected(store, options, &backoff, &err);

        if (result == RESULT_OK)
            continue;
        store_disconnect(store);
        /* The recorder logs a lost database: it loses it, too. */
        backoff_wait(&backoff, result == RESULT_FAIL ? "handling" : NULL, &err);
    }
    store_free(store);
}

/* ---- the other kinds ---- */

static void run_dispatch(const struct conf *conf, const struct runner_options *options)
{
    struct dispatch *dispatch = dispatch_new(conf, options->name);

    while (!signals_stop_asked()) {
        struct pollfd wake = {.fd = options->wake_fd, .events = POLLIN};

        dispatch_step(dispatch);
        dispatch_wait(dispatch, &wake, 1, outcomes_write_due());
        if (wake.revents == 0)
            continue;
        take_wakeup(options);
        dispatch_claim_now(dispatch);
    }
    dispatch_finish(dispatch);
    dispatch_free(dispatch);
}

/* ---- life ---- */

void runner_main(const struct conf *conf, const struct runner_options *options)
{
    if (options->dispatch)
        run_dispatch(conf, options);
    else
        run_sql_handlers(conf, options);
}
