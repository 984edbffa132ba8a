/*
 * SPDX-License-Identifier: ISC
 *
 * A run is one lease in progress: attempts[0..begun) have been started, in order; the others wait. What must stay true:
 * an attempt starts only while its lease is valid, and its outcome is recorded once. Nothing more is claimed for a
 * handler that has attempts waiting here, so a slow handler holds one batch at most and never delays the others.
 */
#include <config.h>

#include "work/dispatch.h"

#include "base/clock.h"
#include "base/memory.h"
#include "http/http.h"
#include "work/attempt.h"
#include "work/kind_c.h"
#include "work/kind_exec.h"
#include "work/kind_http.h"
#include "work/outcome_log.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define RUNNING_MAX 256        /* attempts at a time, of all handlers together */
#define RENEW_MS 4000          /* a lease lasts 15 s */
#define CLAIM_INTERVAL_MS 5000 /* claim this often in any case: a connection pooler may drop notifications */
#define STOP_GRACE_MS 10000    /* how long attempts may go on after the stop */

static const char *const kinds[] = {"c", "exec", "http"};

struct lease_run {
    struct lease_run *next;
    struct store_lease lease;
    struct attempt *attempts;  /* one for each delivery */
    size_t begun, settled;     /* how many */
    struct c_process *process; /* of kind c, while one runs */
    int64_t renewed_at;        /* monotonic ms */
    bool given_back;           /* those that were not begun */
};

struct dispatch {
    const struct conf *conf;
    struct store *store;
    const char *worker;
    struct http *http;
    struct lease_run *runs; /* in the order in which they were leased */
    size_t running;         /* attempts, of all runs */
    int64_t claim_at;       /* monotonic ms: when to claim again */
    int64_t kill_at;        /* monotonic ms: when to kill what runs; 0: there was no stop */
};

struct dispatch *dispatch_new(const struct conf *conf, struct store *store, const char *worker)
{
    struct dispatch *dispatch = memory_new(1, sizeof *dispatch);

    dispatch->conf = conf;
    dispatch->store = store;
    dispatch->worker = worker;
    dispatch->http = http_new();
    return dispatch;
}

static bool is_of_kind(const struct lease_run *run, const char *kind)
{
    return strcmp(run->lease.kind, kind) == 0;
}

/* ---- attempts that run ---- */

static void kill_attempts(struct dispatch *dispatch, struct lease_run *run)
{
    if (run->process != NULL)
        kind_c_kill(run->process);
    run->process = NULL;
    for (size_t i = 0; i < run->begun; i++) {
        if (run->attempts[i].state != ATTEMPT_RUNS)
            continue;
        if (is_of_kind(run, "exec"))
            kind_exec_kill(&run->attempts[i]);
        else if (is_of_kind(run, "http"))
            kind_http_cancel(&run->attempts[i], dispatch->http);
        attempt_end_with(&run->attempts[i], "retry", "broken off: the worker was told to end");
    }
}

/* Counts the attempts that a process of kind c has begun by itself. */
static void count_begun(struct lease_run *run)
{
    while (run->begun < run->lease.count && run->attempts[run->begun].state != ATTEMPT_WAITS)
        run->begun++;
}

static void step_attempts(struct lease_run *run)
{
    if (run->process != NULL) {
        if (!kind_c_step(run->process))
            run->process = NULL;
        count_begun(run);
    }
    for (size_t i = 0; i < run->begun && is_of_kind(run, "exec"); i++)
        if (run->attempts[i].state == ATTEMPT_RUNS)
            kind_exec_step(&run->attempts[i]);
}

static size_t count_running(const struct lease_run *run)
{
    size_t running = 0;

    for (size_t i = 0; i < run->begun; i++)
        running += run->attempts[i].state == ATTEMPT_RUNS;
    return running;
}

/* Returns how many attempts of the handler run, over all runs. */
static size_t count_running_of(const struct dispatch *dispatch, const char *handler)
{
    size_t running = 0;

    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if (strcmp(run->lease.handler, handler) == 0)
            running += count_running(run);
    return running;
}

static void step_all_attempts(struct dispatch *dispatch)
{
    kind_http_collect(dispatch->http);
    dispatch->running = 0;
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        step_attempts(run);
        if (dispatch->kill_at != 0 && clock_monotonic_ms() >= dispatch->kill_at)
            kill_attempts(dispatch, run);
        dispatch->running += count_running(run);
    }
}

/* ---- starting ---- */

static bool has_waiting(const struct lease_run *run)
{
    return run->begun < run->lease.count && !run->given_back;
}

/* Begins the next attempt of the run. */
static void begin_attempt(struct dispatch *dispatch, struct lease_run *run)
{
    struct attempt *attempt = &run->attempts[run->begun];

    if (is_of_kind(run, "c"))
        run->process = kind_c_start(attempt, run->lease.count - run->begun, dispatch->conf);
    else if (is_of_kind(run, "exec"))
        kind_exec_begin(attempt, dispatch->conf);
    else
        kind_http_begin(attempt, dispatch->http);
    run->begun++;
    dispatch->running += attempt->state == ATTEMPT_RUNS;
}

/* Begins attempts as far as the limits allow. A running process of kind c begins its next attempts by itself. */
static void begin_attempts(struct dispatch *dispatch)
{
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        size_t limit = (size_t)run->lease.concurrency, running = count_running_of(dispatch, run->lease.handler);

        while (has_waiting(run) && run->process == NULL && running < limit && dispatch->running < RUNNING_MAX) {
            begin_attempt(dispatch, run);
            running += run->attempts[run->begun - 1].state == ATTEMPT_RUNS;
        }
    }
}

/* ---- leasing ---- */

/*
 * Lists the handlers for which nothing more is claimed: those with waiting attempts, and those at their concurrency
 * limit. Deliveries behind a running process of kind c do not count: it starts them itself.
 */
static size_t list_busy_handlers(const struct dispatch *dispatch, const char **busy)
{
    size_t count = 0;

    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if ((has_waiting(run) && run->process == NULL) ||
            count_running_of(dispatch, run->lease.handler) >= (size_t)run->lease.concurrency)
            busy[count++] = run->lease.handler;
    return count;
}

static size_t count_runs(const struct dispatch *dispatch)
{
    size_t count = 0;

    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        count++;
    return count;
}

/* Appends a run of LEASE, which is taken over. */
static void add_run(struct dispatch *dispatch, const struct store_lease *lease)
{
    struct lease_run *run = memory_new(1, sizeof *run), **end = &dispatch->runs;

    run->attempts = memory_new(lease->count, sizeof *run->attempts);
    run->lease = *lease;
    run->renewed_at = clock_monotonic_ms();
    for (size_t i = 0; i < lease->count; i++) {
        run->attempts[i].lease = &run->lease;
        run->attempts[i].delivery = &run->lease.deliveries[i];
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = run;
}

/* Sets when to claim again: when the next delivery is due, or after CLAIM_INTERVAL_MS. */
static enum result schedule_claim(struct dispatch *dispatch, const struct store_share *share, struct err *err)
{
    int due = 0;
    enum result result = store_due_in(dispatch->store, share, &due, err);

    if (result == RESULT_OK)
        dispatch->claim_at = clock_monotonic_ms() + (due >= 0 && due < CLAIM_INTERVAL_MS ? due : CLAIM_INTERVAL_MS);
    return result;
}

/* Claims one batch. *LEASED is whether there was one. */
static enum result claim_batch(struct dispatch *dispatch, bool *leased, struct err *err)
{
    const char **busy = memory_new(count_runs(dispatch), sizeof *busy);
    const struct store_claim claim = {
        .worker = dispatch->worker,
        .batch = BATCH,
        .share = {kinds, sizeof kinds / sizeof *kinds, busy, list_busy_handlers(dispatch, busy)},
    };
    struct store_lease lease;
    enum result result = store_claim(dispatch->store, &claim, &lease, err);

    *leased = result == RESULT_OK && lease.count > 0;
    if (*leased)
        add_run(dispatch, &lease);
    else
        store_free_lease(&lease);
    if (result == RESULT_OK && !*leased)
        result = schedule_claim(dispatch, &claim.share, err);
    free(busy);
    return result;
}

static enum result claim_and_begin(struct dispatch *dispatch, struct err *err)
{
    enum result result = RESULT_OK;
    bool leased = true;

    while (result == RESULT_OK && leased && dispatch->running < RUNNING_MAX &&
           clock_monotonic_ms() >= dispatch->claim_at) {
        result = claim_batch(dispatch, &leased, err);
        begin_attempts(dispatch);
    }
    return result;
}

/* ---- settling ---- */

/* Marks the token that the API refused in this attempt as invalid. */
static enum result refuse_token(struct dispatch *dispatch, const struct attempt *attempt, struct err *err)
{
    const struct store_delivery *delivery = attempt->delivery;
    bool refused = false;
    enum result result = store_refuse_bot_token(dispatch->store, delivery->origin_community_id,
                                                delivery->token_stored_at, &refused, err);

    if (refused)
        outcome_log_refused_token(delivery->origin_community_id);
    return result;
}

static void log_outcome(void *context, const char *event_id, const char *result, const char *detail)
{
    const struct lease_run *run = context;

    outcome_log_attempt(run->lease.handler, event_id, result, detail);
}

/* Lists the outcomes of the attempts that ended, and marks the tokens that were refused in them. */
static enum result list_outcomes(struct dispatch *dispatch, struct lease_run *run, struct store_outcome *outcomes,
                                 size_t *count, struct err *err)
{
    enum result result = RESULT_OK;

    *count = 0;
    for (size_t i = 0; i < run->begun && result == RESULT_OK; i++) {
        struct attempt *attempt = &run->attempts[i];

        if (attempt->state != ATTEMPT_ENDED)
            continue;
        outcomes[*count] = attempt->outcome;
        if (attempt->token_refused) {
            if (strcmp(attempt->outcome.result, "failed") == 0)
                outcomes[*count].result = "retry"; /* it may work with the next token */
            result = refuse_token(dispatch, attempt, err);
        }
        (*count)++;
    }
    return result;
}

static void mark_settled(struct dispatch *dispatch, struct lease_run *run)
{
    for (size_t i = 0; i < run->begun; i++) {
        if (run->attempts[i].state != ATTEMPT_ENDED)
            continue;
        run->attempts[i].state = ATTEMPT_SETTLED;
        attempt_free(&run->attempts[i]);
        run->settled++;
        dispatch_claim_now(dispatch); /* its handler may be below its limit again */
    }
}

/* Records the attempts of the run that ended. */
static enum result settle_attempts(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    const struct store_outcome_listener listener = {log_outcome, run};
    struct store_outcome *outcomes = memory_new(run->begun, sizeof *outcomes);
    size_t count;
    enum result result = list_outcomes(dispatch, run, outcomes, &count, err);

    if (count > 0 && result == RESULT_OK)
        result = store_finish(dispatch->store, run->lease.number, outcomes, count, &listener, err);
    if (result != RESULT_RETRY)
        mark_settled(dispatch, run);
    free(outcomes);
    return result;
}

/* Gives back the deliveries whose attempts were not begun. */
static enum result give_back_waiting(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    const char **ids = memory_new(run->lease.count, sizeof *ids);
    enum result result;
    size_t count = 0;

    for (size_t i = run->begun; i < run->lease.count; i++)
        ids[count++] = run->lease.deliveries[i].event_id;
    result = store_give_back(dispatch->store, run->lease.number, ids, count, err);
    if (result != RESULT_RETRY)
        run->given_back = true;
    free(ids);
    return result;
}

static enum result renew_lease(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    enum result result = store_renew(dispatch->store, run->lease.number, err);

    if (result == RESULT_OK)
        run->renewed_at = clock_monotonic_ms();
    return result;
}

/* Brings the database up to date about the run. */
static enum result update_run(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    enum result result = settle_attempts(dispatch, run, err);

    if (result == RESULT_OK && dispatch->kill_at != 0 && has_waiting(run))
        result = give_back_waiting(dispatch, run, err);
    if (result == RESULT_OK && clock_monotonic_ms() - run->renewed_at >= RENEW_MS)
        result = renew_lease(dispatch, run, err);
    return result;
}

static void free_run(struct lease_run *run)
{
    for (size_t i = 0; i < run->begun; i++)
        attempt_free(&run->attempts[i]);
    free(run->attempts);
    store_free_lease(&run->lease);
    free(run);
}

/* Updates all runs and frees those that are complete. */
static enum result update_runs(struct dispatch *dispatch, struct err *err)
{
    enum result result = RESULT_OK;

    for (struct lease_run **link = &dispatch->runs; *link != NULL && result == RESULT_OK;) {
        struct lease_run *run = *link;

        result = update_run(dispatch, run, err);
        if (run->settled < run->begun || has_waiting(run)) {
            link = &run->next;
        } else {
            *link = run->next;
            free_run(run);
        }
    }
    return result;
}

/* ---- the steps of the loop ---- */

void dispatch_free(struct dispatch *dispatch)
{
    while (dispatch->runs != NULL) {
        struct lease_run *run = dispatch->runs;

        dispatch->runs = run->next;
        kill_attempts(dispatch, run);
        free_run(run);
    }
    http_free(dispatch->http);
    free(dispatch);
}

enum result dispatch_step(struct dispatch *dispatch, bool *work, struct err *err)
{
    enum result result;

    step_all_attempts(dispatch);
    result = update_runs(dispatch, err);
    if (dispatch->kill_at == 0) {
        begin_attempts(dispatch);
        if (result == RESULT_OK)
            result = claim_and_begin(dispatch, err);
    }
    *work = dispatch->runs != NULL;
    return result;
}

void dispatch_claim_now(struct dispatch *dispatch)
{
    dispatch->claim_at = 0;
}

void dispatch_stop(struct dispatch *dispatch)
{
    if (dispatch->kill_at != 0)
        return;
    dispatch->kill_at = clock_monotonic_ms() + STOP_GRACE_MS;
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if (run->process != NULL)
            kind_c_finish(run->process);
}

/* Returns when the next step is due (monotonic ms) if no descriptor becomes readable before. */
static int64_t next_step_at(const struct dispatch *dispatch)
{
    int64_t next = dispatch->claim_at;

    if (dispatch->kill_at != 0)
        next = dispatch->kill_at;
    else if (dispatch->running >= RUNNING_MAX) /* nothing more is claimed until an attempt ends */
        next = clock_monotonic_ms() + CLAIM_INTERVAL_MS;
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        if (run->renewed_at + RENEW_MS < next)
            next = run->renewed_at + RENEW_MS;
        for (size_t i = 0; i < run->begun; i++)
            if (run->attempts[i].state == ATTEMPT_RUNS && run->attempts[i].deadline < next)
                next = run->attempts[i].deadline;
            else if (run->attempts[i].state == ATTEMPT_ENDED)
                next = 0;
    }
    return next;
}

/* Adds the descriptors of the attempts that run, from POLLED[COUNT] on. Returns the number of descriptors. */
static size_t list_descriptors(const struct dispatch *dispatch, struct pollfd *polled, size_t count)
{
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        if (run->process != NULL)
            polled[count++] = (struct pollfd){.fd = kind_c_descriptor(run->process), .events = POLLIN};
        for (size_t i = 0; i < run->begun && is_of_kind(run, "exec"); i++)
            if (run->attempts[i].state == ATTEMPT_RUNS)
                polled[count++] = (struct pollfd){.fd = kind_exec_descriptor(&run->attempts[i]), .events = POLLIN};
    }
    return count;
}

void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms)
{
    struct pollfd *polled = memory_new(count + dispatch->running + count_runs(dispatch), sizeof *polled);
    int64_t left = next_step_at(dispatch) - clock_monotonic_ms();

    if (count > 0)
        memcpy(polled, fds, count * sizeof *fds);
    if (left < 0)
        left = 0;
    http_wait(dispatch->http, polled, list_descriptors(dispatch, polled, count),
              timeout_ms >= 0 && timeout_ms < left ? timeout_ms : (int)left);
    if (count > 0)
        memcpy(fds, polled, count * sizeof *fds);
    free(polled);
}
