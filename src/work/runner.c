/*
 * SPDX-License-Identifier: ISC
 *
 * The life of a runner process. It waits for what is due, for a notification of the schema, and for its worker's own
 * word that something was recorded: the last works behind every connection pooler, and at once.
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

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_WAIT_MS 5000 /* without a notification, which a connection pooler may swallow */
#define SPARE_WAIT_MS 1000   /* the same, of a spare runner, which gets no word before the first one is stuck */
#define SPARE_REST_MS 500    /* how long a spare runner leaves quick handlers to the first one */
#define YIELD_MS 100         /* the longest rest for the sake of the answers */
#define CALM_MS 100          /* nothing recorded for so long: no events come in */
#define SLOW_MS 2000         /* a batch that took longer makes its handler a slow one, */
#define SLOW_FOR_MS 60000    /* for so long */
#define SLOW_MAX 16
#define WIND_UP_MS 20000 /* how long the end of what runs outside may take, with a database that is gone */

struct slow {
    char *handler;
    int64_t until; /* monotonic ms */
};

struct runner {
    const struct conf *conf;
    const struct runner_post *post;
    struct store *store;
    struct dispatch *dispatch; /* NULL: this one runs sql */
    struct kind_sql sql;
    struct processors processors;
    struct slow slow[SLOW_MAX];
    size_t slow_count;
};

/* ---- waiting ---- */

static void take_wake(const struct runner *runner)
{
    uint64_t times;

    (void)!read(runner->post->wake, &times, sizeof times);
}

/* Waits for a word from the worker or the schema, or for TIMEOUT_MS. Returns whether there was one. */
static int wait_for_word(struct runner *runner, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = runner->post->wake, .events = POLLIN},
                            {.fd = store_descriptor(runner->store), .events = POLLIN}};
    int word = 0;

    if (runner->dispatch != NULL)
        dispatch_wait(runner->dispatch, fds, 2, timeout_ms);
    else if (signals_poll(fds, 2, timeout_ms) < 0)
        return 0;
    if (fds[0].revents != 0) {
        take_wake(runner);
        word = 1;
    }
    if (fds[1].revents != 0)
        word |= store_take_notifications(runner->store) || store_descriptor(runner->store) < 0;
    return word;
}

/* ---- sql ---- */

static size_t list_slow(struct runner *runner, const char **busy)
{
    size_t count = 0;

    for (size_t i = 0; i < runner->slow_count; i++)
        if (runner->slow[i].until > clock_monotonic_ms())
            busy[count++] = runner->slow[i].handler;
    return count;
}

/* Remembers a handler as slow, in the place of the one that has been so for longest. Takes over HANDLER. */
static void remember_slow(struct runner *runner, char *handler)
{
    struct slow *place = &runner->slow[0];

    for (size_t i = 0; i < SLOW_MAX; i++) {
        if (i == runner->slow_count)
            runner->slow_count++;
        if (runner->slow[i].handler == NULL || strcmp(runner->slow[i].handler, handler) == 0) {
            place = &runner->slow[i];
            break;
        }
        if (runner->slow[i].until < place->until)
            place = &runner->slow[i];
    }
    free(place->handler);
    place->handler = handler;
    place->until = clock_monotonic_ms() + SLOW_FOR_MS;
}

static int events_come_in(const struct runner *runner)
{
    return clock_monotonic_ms() - atomic_load(runner->post->recorded) < CALM_MS;
}

/* Whether the first runner alone does what this one has just helped with. */
static int may_rest(const struct runner *runner)
{
    return runner->post->spare && runner->sql.quick && events_come_in(runner);
}

/*
 * How long to rest after a batch of BATCH_MS. Where no processor is idle, half of the time is left to answering and
 * recording: an event that the front does not take in time may be lost, one that waits for its handler is not.
 */
static int yield_ms(struct runner *runner, int64_t batch_ms)
{
    if (!events_come_in(runner) || !processors_busy(&runner->processors))
        return 0;
    return batch_ms < YIELD_MS ? (int)batch_ms : YIELD_MS;
}

/* Runs a batch, or waits until one may be due. */
static enum result go_on_with_sql(struct runner *runner, struct backoff *backoff, struct err *err)
{
    const char *busy[SLOW_MAX];
    size_t ran, busy_count = list_slow(runner, busy);
    int64_t began = clock_monotonic_ms();
    int longest = runner->post->spare ? SPARE_WAIT_MS : LONGEST_WAIT_MS;
    char *handler;
    int ms;
    enum result result;

    take_wake(runner); /* a word that stays there says that this runner is stuck */
    result = kind_sql_step(&runner->sql, busy, busy_count, &ran, &handler, err);

    if (result == RESULT_OK)
        backoff_reset(backoff, "handling");
    if (handler != NULL && runner->post->first && clock_monotonic_ms() - began >= SLOW_MS)
        remember_slow(runner, handler);
    else
        free(handler);
    if (result != RESULT_OK)
        return result;
    if (ran > 0 && may_rest(runner)) {
        (void)wait_for_word(runner, SPARE_REST_MS);
        return RESULT_OK;
    }
    if (ran > 0) {
        signals_poll(NULL, 0, yield_ms(runner, clock_monotonic_ms() - began)); /* lets a signal in */
        return RESULT_OK;
    }
    result = kind_sql_due_in(&runner->sql, busy, busy_count, &ms, err);
    if (result == RESULT_OK && !store_take_notifications(runner->store)) /* one may have come beside an answer */
        (void)wait_for_word(runner, ms >= 0 && ms < longest ? ms : longest);
    return result;
}

/* ---- outside ---- */

static enum result go_on_outside(struct runner *runner, struct backoff *backoff, struct err *err)
{
    int work;
    enum result result = dispatch_step(runner->dispatch, &work, err);

    if (result != RESULT_OK)
        return result;
    backoff_reset(backoff, "handling");
    if (store_take_notifications(runner->store) || wait_for_word(runner, LONGEST_WAIT_MS))
        dispatch_claim_now(runner->dispatch);
    return RESULT_OK;
}

/* Lets what runs come to its end, and records that. */
static void wind_up(struct runner *runner)
{
    int64_t until = clock_monotonic_ms() + WIND_UP_MS;
    int work;
    struct err err;

    dispatch_stop(runner->dispatch);
    do {
        enum result result = dispatch_step(runner->dispatch, &work, &err);

        if (result != RESULT_OK)
            store_disconnect(runner->store);
        if (work) {
            (void)!store_connect(runner->store, 0, &err);
            (void)wait_for_word(runner, 200);
        }
    } while (work && clock_monotonic_ms() < until);
}

/* ---- life ---- */

static enum result go_on(struct runner *runner, struct backoff *backoff, struct err *err)
{
    return runner->dispatch != NULL ? go_on_outside(runner, backoff, err) : go_on_with_sql(runner, backoff, err);
}

void runner_main(const struct conf *conf, const struct runner_post *post)
{
    struct runner runner = {.conf = conf, .post = post, .store = store_new(conf->database)};
    struct backoff backoff = {0};

    runner.sql = (struct kind_sql){.store = runner.store, .worker = post->name};
    if (post->dispatch)
        runner.dispatch = dispatch_new(conf, runner.store, post->name);
    while (!signals_stop_asked()) {
        struct err err;
        enum result result = store_connect(runner.store, 1, &err);

        if (result == RESULT_OK)
            result = store_listen(runner.store, &err);
        while (result == RESULT_OK && !signals_stop_asked())
            result = go_on(&runner, &backoff, &err);
        if (result != RESULT_OK) {
            store_disconnect(runner.store);
            /* A lost database is said by the recorder, which loses it too. */
            backoff_wait(&backoff, result == RESULT_FAIL ? "handling" : NULL, &err);
        }
    }
    if (runner.dispatch != NULL) {
        wind_up(&runner);
        dispatch_free(runner.dispatch);
    }
    for (size_t i = 0; i < runner.slow_count; i++)
        free(runner.slow[i].handler);
    store_free(runner.store);
}
