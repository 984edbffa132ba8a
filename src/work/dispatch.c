/*
 * SPDX-License-Identifier: ISC
 *
 * A run is a lease that is being worked on: attempts in the order of their deliveries, of which a first part was begun.
 * What must stay true: an attempt is begun only while its lease is ours (renewed in time), and is settled exactly once.
 * A handler of whose attempts one waits here is busy: nothing more of it is leased, so that a slow one holds no more
 * than a batch, and never the others.
 */
#include <config.h>

#include "work/dispatch.h"

#include "base/clock.h"
#include "http/http.h"
#include "work/attempt.h"
#include "work/kind_c.h"
#include "work/kind_exec.h"
#include "work/kind_http.h"
#include "work/outcome_log.h"

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

struct dispatch {
    const struct conf *conf;
    struct store *store;
    const char *worker;
    struct http *pool;
    struct run *runs; /* in the order of their leases */
    size_t running;
    int64_t look_at;  /* monotonic ms: when to lease again */
    int64_t break_at; /* monotonic ms: when to break off what runs; 0: we were not told to end */
};

struct dispatch *dispatch_new(const struct conf *conf, struct store *store, const char *worker)
{
    struct dispatch *dispatch = calloc(1, sizeof *dispatch);

    if (dispatch == NULL)
        abort();
    dispatch->conf = conf;
    dispatch->store = store;
    dispatch->worker = worker;
    dispatch->pool = http_new();
    return dispatch;
}

static int is_kind(const struct run *run, const char *kind)
{
    return strcmp(run->lease.kind, kind) == 0;
}

/* ---- what runs ---- */

static void break_off(struct dispatch *dispatch, struct run *run)
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
            kind_http_break_off(&run->attempts[i], dispatch->pool);
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
static size_t running_of(const struct dispatch *dispatch, const char *handler)
{
    size_t running = 0;

    for (const struct run *run = dispatch->runs; run != NULL; run = run->next)
        if (strcmp(run->lease.handler, handler) == 0)
            running += count_running(run);
    return running;
}

static void go_on_all(struct dispatch *dispatch)
{
    (void)kind_http_collect(dispatch->pool);
    dispatch->running = 0;
    for (struct run *run = dispatch->runs; run != NULL; run = run->next) {
        go_on(run);
        if (dispatch->break_at != 0 && clock_monotonic_ms() >= dispatch->break_at)
            break_off(dispatch, run);
        dispatch->running += count_running(run);
    }
}

/* ---- beginning ---- */

static int waits(const struct run *run)
{
    return run->begun < run->lease.count && !run->given_back;
}

/* Begins the next attempt of the run. */
static void begin_one(struct dispatch *dispatch, struct run *run)
{
    struct attempt *attempt = &run->attempts[run->begun];

    if (is_kind(run, "c"))
        run->host = kind_c_start(attempt, run->lease.count - run->begun, dispatch->conf);
    else if (is_kind(run, "exec"))
        kind_exec_begin(attempt, dispatch->conf);
    else
        kind_http_begin(attempt, dispatch->pool);
    run->begun++;
    dispatch->running += attempt->state == ATTEMPT_RUNS;
}

/* Begins what may be begun. A host begins its next attempts by itself. */
static void begin_all(struct dispatch *dispatch)
{
    for (struct run *run = dispatch->runs; run != NULL; run = run->next) {
        size_t places = (size_t)run->lease.concurrency, running = running_of(dispatch, run->lease.handler);

        while (waits(run) && run->host == NULL && running < places && dispatch->running < RUNNING_MAX) {
            begin_one(dispatch, run);
            running += run->attempts[run->begun - 1].state == ATTEMPT_RUNS;
        }
    }
}

/* ---- leasing ---- */

/* The handlers of which nothing more is leased: an attempt waits here for a place, or all its places are taken. (What
 * waits for a host that runs, waits for its turn.) */
static size_t list_busy(const struct dispatch *dispatch, const char **busy)
{
    size_t count = 0;

    for (const struct run *run = dispatch->runs; run != NULL; run = run->next)
        if ((waits(run) && run->host == NULL) ||
            running_of(dispatch, run->lease.handler) >= (size_t)run->lease.concurrency)
            busy[count++] = run->lease.handler;
    return count;
}

static size_t count_runs(const struct dispatch *dispatch)
{
    size_t count = 0;

    for (const struct run *run = dispatch->runs; run != NULL; run = run->next)
        count++;
    return count;
}

static void add_run(struct dispatch *dispatch, const struct store_lease *lease)
{
    struct run *run = calloc(1, sizeof *run), **end = &dispatch->runs;

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
static enum result lease_one(struct dispatch *dispatch, int *leased, struct err *err)
{
    const char **busy = calloc(count_runs(dispatch) + 1, sizeof *busy);
    struct store_share share = {kinds, sizeof kinds / sizeof *kinds, busy, 0};
    struct store_lease lease = {0};
    enum result result;
    int due = 0;

    if (busy == NULL)
        abort();
    share.busy_count = list_busy(dispatch, busy);
    result = store_claim(dispatch->store, dispatch->worker, BATCH, 0, &share, &lease, err);
    *leased = result == RESULT_OK && lease.count > 0;
    if (*leased)
        add_run(dispatch, &lease);
    else
        store_free_lease(&lease);
    if (result == RESULT_OK && !*leased)
        result = store_due_in(dispatch->store, &share, &due, err);
    if (result == RESULT_OK && !*leased)
        dispatch->look_at = clock_monotonic_ms() + (due >= 0 && due < LONGEST_MS ? due : LONGEST_MS);
    free(busy);
    return result;
}

static enum result lease_and_begin(struct dispatch *dispatch, struct err *err)
{
    enum result result = RESULT_OK;
    int leased = 1;

    while (result == RESULT_OK && leased && dispatch->break_at == 0 && dispatch->running < RUNNING_MAX &&
           clock_monotonic_ms() >= dispatch->look_at) {
        result = lease_one(dispatch, &leased, err);
        begin_all(dispatch);
    }
    return result;
}

/* ---- settling ---- */

/* Tells the database of a token that the API refused. */
static enum result refuse_token(struct dispatch *dispatch, const struct attempt *attempt, struct err *err)
{
    const struct store_delivery *delivery = attempt->delivery;
    int refused = 0;
    enum result result = store_refuse_bot_token(dispatch->store, delivery->origin_community_id,
                                                delivery->token_stored_at, &refused, err);

    if (refused)
        outcome_log_refused_token(delivery->origin_community_id);
    return result;
}

/* Records the attempts of the run that ended. */
static enum result settle(struct dispatch *dispatch, struct run *run, struct err *err)
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
            result = refuse_token(dispatch, &run->attempts[i], err);
        }
        count++;
    }
    if (count > 0 && result == RESULT_OK)
        result = store_finish(dispatch->store, run->lease.number, outcomes, count, outcome_log_attempt,
                              (void *)(uintptr_t)run->lease.handler, err);
    for (size_t i = 0; i < run->begun && result != RESULT_RETRY; i++) {
        if (run->attempts[i].state != ATTEMPT_ENDED)
            continue;
        run->attempts[i].state = ATTEMPT_SETTLED;
        attempt_free(&run->attempts[i]);
        run->settled++;
        dispatch_claim_now(dispatch); /* its handler may have a place free */
    }
    free(outcomes);
    return result;
}

/* Gives back what was leased and not begun. */
static enum result give_back(struct dispatch *dispatch, struct run *run, struct err *err)
{
    const char **ids = calloc(run->lease.count + 1, sizeof *ids);
    enum result result;
    size_t count = 0;

    if (ids == NULL)
        abort();
    for (size_t i = run->begun; i < run->lease.count; i++)
        ids[count++] = run->lease.deliveries[i].event_id;
    result = store_give_back(dispatch->store, run->lease.number, ids, count, err);
    if (result != RESULT_RETRY)
        run->given_back = 1;
    free(ids);
    return result;
}

static enum result renew(struct dispatch *dispatch, struct run *run, struct err *err)
{
    enum result result = store_renew(dispatch->store, run->lease.number, err);

    if (result == RESULT_OK)
        run->renewed = clock_monotonic_ms();
    return result;
}

static enum result tend(struct dispatch *dispatch, struct run *run, struct err *err)
{
    enum result result = settle(dispatch, run, err);

    if (result == RESULT_OK && dispatch->break_at != 0 && waits(run))
        result = give_back(dispatch, run, err);
    if (result == RESULT_OK && clock_monotonic_ms() - run->renewed >= RENEW_MS)
        result = renew(dispatch, run, err);
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

static enum result tend_all(struct dispatch *dispatch, struct err *err)
{
    enum result result = RESULT_OK;

    for (struct run **at = &dispatch->runs; *at != NULL && result == RESULT_OK;) {
        struct run *run = *at;

        result = tend(dispatch, run, err);
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

void dispatch_free(struct dispatch *dispatch)
{
    while (dispatch->runs != NULL) {
        struct run *run = dispatch->runs;

        dispatch->runs = run->next;
        break_off(dispatch, run);
        free_run(run);
    }
    http_free(dispatch->pool);
    free(dispatch);
}

enum result dispatch_step(struct dispatch *dispatch, int *work, struct err *err)
{
    enum result result;

    go_on_all(dispatch);
    result = tend_all(dispatch, err);
    if (dispatch->break_at == 0) {
        begin_all(dispatch);
        if (result == RESULT_OK)
            result = lease_and_begin(dispatch, err);
    }
    *work = dispatch->runs != NULL;
    return result;
}

void dispatch_claim_now(struct dispatch *dispatch)
{
    dispatch->look_at = 0;
}

void dispatch_stop(struct dispatch *dispatch)
{
    if (dispatch->break_at != 0)
        return;
    dispatch->break_at = clock_monotonic_ms() + WIND_UP_MS;
    for (struct run *run = dispatch->runs; run != NULL; run = run->next)
        if (run->host != NULL)
            kind_c_wind_up(run->host);
}

/* The next moment at which something is to be done of which no descriptor tells. */
static int64_t next_moment(const struct dispatch *dispatch)
{
    int64_t next = dispatch->look_at;

    if (dispatch->break_at != 0)
        next = dispatch->break_at;
    else if (dispatch->running >= RUNNING_MAX) /* nothing more is leased until one ends */
        next = clock_monotonic_ms() + LONGEST_MS;
    for (const struct run *run = dispatch->runs; run != NULL; run = run->next) {
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

void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms)
{
    struct pollfd *all = calloc(count + dispatch->running + count_runs(dispatch) + 1, sizeof *all);
    int64_t left = next_moment(dispatch) - clock_monotonic_ms();
    size_t n = count;

    if (all == NULL)
        abort();
    if (count > 0)
        memcpy(all, fds, count * sizeof *fds);
    for (struct run *run = dispatch->runs; run != NULL; run = run->next) {
        if (run->host != NULL)
            all[n++] = (struct pollfd){.fd = kind_c_descriptor(run->host), .events = POLLIN};
        for (size_t i = 0; i < run->begun && is_kind(run, "exec"); i++)
            if (run->attempts[i].state == ATTEMPT_RUNS)
                all[n++] = (struct pollfd){.fd = kind_exec_descriptor(&run->attempts[i]), .events = POLLIN};
    }
    if (left < 0)
        left = 0;
    http_wait(dispatch->pool, all, n, timeout_ms >= 0 && timeout_ms < left ? timeout_ms : (int)left);
    if (count > 0)
        memcpy(fds, all, count * sizeof *fds);
    free(all);
}
