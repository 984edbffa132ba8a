/*
 * SPDX-License-Identifier: ISC
 *
 * A run is a lease that is being worked on: attempts in the order of their deliveries, of which a first part was begun.
 * What must stay true: an attempt is begun only while its lease is ours (renewed in time), and is settled exactly once.
 * A handler of whose attempts one waits here is busy: nothing more of it is leased, so that a slow one holds no more
 * than a batch, and never the others.
 */
#include <config.h>

#include "outside.h"

#include "attempt.h"
#include "clock.h"
#include "http.h"
#include "kind_c.h"
#include "kind_exec.h"
#include "kind_http.h"
#include "outcome.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define RUNNING_MAX 256  /* attempts at a time, of all handlers together */
#define RENEW_MS 4000    /* a lease lasts 15 s */
#define LONGEST_MS 5000  /* between two looks at what is due, since a connection pooler may swallow notifications */
#define WIND_UP_MS 10000 /* what runs may go on so long after we were told to end */

static const char *const kinds[] = {"c", "exec", "http"};

struct run {
    struct run *next;
    struct store_lease lease;
    struct attempt *attempts;
    size_t begun, settled; /* how many */
    struct host *host;     /* of kind c, while one runs */
    int64_t renewed;       /* monotonic ms */
    int given_back;        /* those that were not begun */
};

struct outside {
    const struct conf *conf;
    struct store *store;
    const char *worker;
    struct http_pool *pool;
    struct run *runs; /* in the order of their leases */
    size_t running;
    int64_t look_at;  /* monotonic ms: when to lease again */
    int64_t break_at; /* monotonic ms: when to break off what runs; 0: we were not told to end */
};

struct outside *outside_new(const struct conf *conf, struct store *store, const char *worker)
{
    struct outside *outside = calloc(1, sizeof *outside);

    if (outside == NULL)
        abort();
    outside->conf = conf;
    outside->store = store;
    outside->worker = worker;
    outside->pool = http_pool_new();
    return outside;
}

static int is_kind(const struct run *run, const char *kind)
{
    return strcmp(run->lease.kind, kind) == 0;
}

/* ---- what runs ---- */

static void break_off(struct outside *outside, struct run *run)
{
    if (run->host != NULL)
        kind_c_break_off(run->host);
    run->host = NULL;
    for (size_t i = 0; i < run->begun; i++) {
        if (run->attempts[i].state != ATTEMPT_RUNS)
            continue;
        if (is_kind(run, "exec"))
            kind_exec_break_off(&run->attempts[i]);
        else
            kind_http_break_off(&run->attempts[i], outside->pool);
    }
}

/* What a host has begun beyond what we know of. */
static void count_begun(struct run *run)
{
    while (run->begun < run->lease.count && run->attempts[run->begun].state != ATTEMPT_WAITS)
        run->begun++;
}

static void go_on(struct run *run)
{
    if (run->host != NULL) {
        if (!kind_c_go_on(run->host))
            run->host = NULL;
        count_begun(run);
    }
    for (size_t i = 0; i < run->begun && is_kind(run, "exec"); i++)
        if (run->attempts[i].state == ATTEMPT_RUNS)
            kind_exec_go_on(&run->attempts[i]);
}

static size_t count_running(const struct run *run)
{
    size_t running = 0;

    for (size_t i = 0; i < run->begun; i++)
        running += run->attempts[i].state == ATTEMPT_RUNS;
    return running;
}

/* How many attempts of the handler run, over all runs. */
static size_t running_of(const struct outside *outside, const char *handler)
{
    size_t running = 0;

    for (const struct run *run = outside->runs; run != NULL; run = run->next)
        if (strcmp(run->lease.handler, handler) == 0)
            running += count_running(run);
    return running;
}

static void go_on_all(struct outside *outside)
{
    (void)kind_http_collect(outside->pool);
    outside->running = 0;
    for (struct run *run = outside->runs; run != NULL; run = run->next) {
        go_on(run);
        if (outside->break_at != 0 && clock_monotonic_ms() >= outside->break_at)
            break_off(outside, run);
        outside->running += count_running(run);
    }
}

/* ---- beginning ---- */

static int waits(const struct run *run)
{
    return run->begun < run->lease.count && !run->given_back;
}

/* Begins the next attempt of the run. */
static void begin_one(struct outside *outside, struct run *run)
{
    struct attempt *attempt = &run->attempts[run->begun];

    if (is_kind(run, "c"))
        run->host = kind_c_start(attempt, run->lease.count - run->begun, outside->conf);
    else if (is_kind(run, "exec"))
        kind_exec_begin(attempt, outside->conf);
    else
        kind_http_begin(attempt, outside->pool);
    run->begun++;
    outside->running += attempt->state == ATTEMPT_RUNS;
}

/* Begins what may be begun. A host begins its next attempts by itself. */
static void begin_all(struct outside *outside)
{
    for (struct run *run = outside->runs; run != NULL; run = run->next) {
        size_t places = (size_t)run->lease.concurrency, running = running_of(outside, run->lease.handler);

        while (waits(run) && run->host == NULL && running < places && outside->running < RUNNING_MAX) {
            begin_one(outside, run);
            running += run->attempts[run->begun - 1].state == ATTEMPT_RUNS;
        }
    }
}

/* ---- leasing ---- */

/* The handlers of which nothing more is leased: an attempt waits here for a place, or all its places are taken. (What
 * waits for a host that runs, waits for its turn.) */
static size_t list_busy(const struct outside *outside, const char **busy)
{
    size_t count = 0;

    for (const struct run *run = outside->runs; run != NULL; run = run->next)
        if ((waits(run) && run->host == NULL) ||
            running_of(outside, run->lease.handler) >= (size_t)run->lease.concurrency)
            busy[count++] = run->lease.handler;
    return count;
}

static size_t count_runs(const struct outside *outside)
{
    size_t count = 0;

    for (const struct run *run = outside->runs; run != NULL; run = run->next)
        count++;
    return count;
}

static void add_run(struct outside *outside, const struct store_lease *lease)
{
    struct run *run = calloc(1, sizeof *run), **end = &outside->runs;

    if (run == NULL || (run->attempts = calloc(lease->count, sizeof *run->attempts)) == NULL)
        abort();
    run->lease = *lease;
    run->renewed = clock_monotonic_ms();
    for (size_t i = 0; i < lease->count; i++) {
        run->attempts[i].lease = &run->lease;
        run->attempts[i].delivery = &run->lease.deliveries[i];
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = run;
}

/* Leases one batch. *LEASED is whether there was one; if not, it is known when to look again. */
static enum result lease_one(struct outside *outside, int *leased, struct err *err)
{
    const char **busy = calloc(count_runs(outside) + 1, sizeof *busy);
    struct store_share share = {kinds, sizeof kinds / sizeof *kinds, busy, 0};
    struct store_lease lease = {0};
    enum result result;
    int due = 0;

    if (busy == NULL)
        abort();
    share.busy_count = list_busy(outside, busy);
    result = store_claim(outside->store, outside->worker, BATCH, 0, &share, &lease, err);
    *leased = result == RESULT_OK && lease.count > 0;
    if (*leased)
        add_run(outside, &lease);
    else
        store_free_lease(&lease);
    if (result == RESULT_OK && !*leased)
        result = store_due_in(outside->store, &share, &due, err);
    if (result == RESULT_OK && !*leased)
        outside->look_at = clock_monotonic_ms() + (due >= 0 && due < LONGEST_MS ? due : LONGEST_MS);
    free(busy);
    return result;
}

static enum result lease_and_begin(struct outside *outside, struct err *err)
{
    enum result result = RESULT_OK;
    int leased = 1;

    while (result == RESULT_OK && leased && outside->break_at == 0 && outside->running < RUNNING_MAX &&
           clock_monotonic_ms() >= outside->look_at) {
        result = lease_one(outside, &leased, err);
        begin_all(outside);
    }
    return result;
}

/* ---- settling ---- */

/* Tells the database of a token that the API refused. */
static enum result refuse_token(struct outside *outside, const struct attempt *attempt, struct err *err)
{
    const struct store_delivery *delivery = attempt->delivery;
    int refused = 0;
    enum result result =
        store_refuse_bot_token(outside->store, delivery->origin_community_id, delivery->token_stored_at, &refused, err);

    if (refused)
        outcome_say_refused(delivery->origin_community_id);
    return result;
}

/* Records the attempts of the run that ended. */
static enum result settle(struct outside *outside, struct run *run, struct err *err)
{
    struct store_outcome *outcomes = calloc(run->begun + 1, sizeof *outcomes);
    enum result result = RESULT_OK;
    size_t count = 0;

    if (outcomes == NULL)
        abort();
    for (size_t i = 0; i < run->begun && result == RESULT_OK; i++) {
        if (run->attempts[i].state != ATTEMPT_ENDED)
            continue;
        outcomes[count] = run->attempts[i].outcome;
        if (run->attempts[i].token_refused) {
            if (strcmp(outcomes[count].result, "failed") == 0)
                outcomes[count].result = "retry"; /* it has not failed for good: there may be a new token by now */
            result = refuse_token(outside, &run->attempts[i], err);
        }
        count++;
    }
    if (count > 0 && result == RESULT_OK)
        result = store_finish(outside->store, run->lease.number, outcomes, count, outcome_say,
                              (void *)(uintptr_t)run->lease.handler, err);
    for (size_t i = 0; i < run->begun && result != RESULT_RETRY; i++) {
        if (run->attempts[i].state != ATTEMPT_ENDED)
            continue;
        run->attempts[i].state = ATTEMPT_SETTLED;
        attempt_free(&run->attempts[i]);
        run->settled++;
        outside_look(outside); /* its handler may have a place free */
    }
    free(outcomes);
    return result;
}

/* Gives back what was leased and not begun. */
static enum result give_back(struct outside *outside, struct run *run, struct err *err)
{
    const char **ids = calloc(run->lease.count + 1, sizeof *ids);
    enum result result;
    size_t count = 0;

    if (ids == NULL)
        abort();
    for (size_t i = run->begun; i < run->lease.count; i++)
        ids[count++] = run->lease.deliveries[i].event_id;
    result = store_give_back(outside->store, run->lease.number, ids, count, err);
    if (result != RESULT_RETRY)
        run->given_back = 1;
    free(ids);
    return result;
}

static enum result renew(struct outside *outside, struct run *run, struct err *err)
{
    enum result result = store_renew(outside->store, run->lease.number, err);

    if (result == RESULT_OK)
        run->renewed = clock_monotonic_ms();
    return result;
}

static enum result tend(struct outside *outside, struct run *run, struct err *err)
{
    enum result result = settle(outside, run, err);

    if (result == RESULT_OK && outside->break_at != 0 && waits(run))
        result = give_back(outside, run, err);
    if (result == RESULT_OK && clock_monotonic_ms() - run->renewed >= RENEW_MS)
        result = renew(outside, run, err);
    return result;
}

static void free_run(struct run *run)
{
    for (size_t i = 0; i < run->begun; i++)
        attempt_free(&run->attempts[i]);
    free(run->attempts);
    store_free_lease(&run->lease);
    free(run);
}

static enum result tend_all(struct outside *outside, struct err *err)
{
    enum result result = RESULT_OK;

    for (struct run **at = &outside->runs; *at != NULL && result == RESULT_OK;) {
        struct run *run = *at;

        result = tend(outside, run, err);
        if (run->settled < run->begun || waits(run)) {
            at = &run->next;
        } else {
            *at = run->next;
            free_run(run);
        }
    }
    return result;
}

/* ---- the loop's steps ---- */

void outside_free(struct outside *outside)
{
    while (outside->runs != NULL) {
        struct run *run = outside->runs;

        outside->runs = run->next;
        break_off(outside, run);
        free_run(run);
    }
    http_pool_free(outside->pool);
    free(outside);
}

enum result outside_step(struct outside *outside, int *work, struct err *err)
{
    enum result result;

    go_on_all(outside);
    result = tend_all(outside, err);
    if (outside->break_at == 0) {
        begin_all(outside);
        if (result == RESULT_OK)
            result = lease_and_begin(outside, err);
    }
    *work = outside->runs != NULL;
    return result;
}

void outside_look(struct outside *outside)
{
    outside->look_at = 0;
}

void outside_wind_up(struct outside *outside)
{
    if (outside->break_at != 0)
        return;
    outside->break_at = clock_monotonic_ms() + WIND_UP_MS;
    for (struct run *run = outside->runs; run != NULL; run = run->next)
        if (run->host != NULL)
            kind_c_wind_up(run->host);
}

/* The next moment at which something is to be done of which no descriptor tells. */
static int64_t next_moment(const struct outside *outside)
{
    int64_t next = outside->look_at;

    if (outside->break_at != 0)
        next = outside->break_at;
    else if (outside->running >= RUNNING_MAX) /* nothing more is leased until one ends */
        next = clock_monotonic_ms() + LONGEST_MS;
    for (const struct run *run = outside->runs; run != NULL; run = run->next) {
        if (run->renewed + RENEW_MS < next)
            next = run->renewed + RENEW_MS;
        for (size_t i = 0; i < run->begun; i++)
            if (run->attempts[i].state == ATTEMPT_RUNS && run->attempts[i].deadline < next)
                next = run->attempts[i].deadline;
            else if (run->attempts[i].state == ATTEMPT_ENDED)
                next = 0;
    }
    return next;
}

void outside_wait(struct outside *outside, struct pollfd *fds, size_t count, int timeout_ms)
{
    struct pollfd *all = calloc(count + outside->running + count_runs(outside) + 1, sizeof *all);
    int64_t left = next_moment(outside) - clock_monotonic_ms();
    size_t n = count;

    if (all == NULL)
        abort();
    if (count > 0)
        memcpy(all, fds, count * sizeof *fds);
    for (struct run *run = outside->runs; run != NULL; run = run->next) {
        if (run->host != NULL)
            all[n++] = (struct pollfd){.fd = kind_c_descriptor(run->host), .events = POLLIN};
        for (size_t i = 0; i < run->begun && is_kind(run, "exec"); i++)
            if (run->attempts[i].state == ATTEMPT_RUNS)
                all[n++] = (struct pollfd){.fd = kind_exec_descriptor(&run->attempts[i]), .events = POLLIN};
    }
    if (left < 0)
        left = 0;
    http_pool_wait(outside->pool, all, n, timeout_ms >= 0 && timeout_ms < left ? timeout_ms : (int)left);
    if (count > 0)
        memcpy(fds, all, count * sizeof *fds);
    free(all);
}
