/*
 * SPDX-License-Identifier: ISC
 *
 * The loop of the dispatcher and its attempts; what it asks the database is in dispatch_requests.c. What must stay
 * true: nothing here waits for the database, so deadlines hold and answers are taken while that is away. An attempt
 * starts only while its lease is valid, and its outcome is recorded once. Nothing more is claimed for a handler that
 * has attempts waiting here, so a slow handler holds one batch at most and never delays the others.
 */
#include <config.h>

#include "work/dispatch.h"

#include "base/clock.h"
#include "base/memory.h"
#include "work/child.h"
#include "work/dispatch_inside.h"
#include "work/kind_c.h"
#include "work/kind_exec.h"
#include "work/kind_http.h"

#include <stdlib.h>
#include <string.h>

#define STOP_GRACE_MS 10000 /* how long attempts may go on after the stop, */
#define STOP_MS 20000       /* and how long all of it may take, if the database is away */
#define STOP_TICK_MS 200    /* longest wait then */
#define LONGEST_WAIT_MS 5000
#define UNRECORDED_MAX 256 /* outcomes: with more of them nothing is begun */

_Static_assert(BEGIN_MS <= STORE_LEASE_MS / 2, "an attempt begins only while its lease is valid for a good while");

struct dispatch *dispatch_new(const struct conf *conf, const char *worker)
{
    struct dispatch *dispatch = memory_new(1, sizeof *dispatch);

    dispatch->conf = conf;
    dispatch->store = store_new(conf->database);
    dispatch->worker = worker;
    dispatch->http = http_new();
    child_adopt();
    return dispatch;
}

bool is_of_kind(const struct lease_run *run, const char *kind)
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
    run->begun = 0;
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

static size_t count_unrecorded(const struct lease_run *run)
{
    size_t unrecorded = 0;

    for (size_t i = 0; i < run->begun; i++)
        unrecorded += run->attempts[i].state == ATTEMPT_ENDED;
    return unrecorded;
}

size_t count_running_of(const struct dispatch *dispatch, const char *handler)
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
    dispatch->running = dispatch->unrecorded = 0;
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        step_attempts(run);
        if (dispatch->kill_at != 0 && clock_monotonic_ms() >= dispatch->kill_at)
            kill_attempts(dispatch, run);
        dispatch->running += count_running(run);
        dispatch->unrecorded += count_unrecorded(run);
    }
    child_end_strays();
}

/* ---- starting ---- */

bool has_waiting(const struct lease_run *run)
{
    return run->begun < run->lease.count && !run->given_back;
}

bool needs_process(const struct lease_run *run)
{
    return !is_of_kind(run, "http");
}

bool can_start_processes(const struct dispatch *dispatch)
{
    return clock_monotonic_ms() >= dispatch->processes_at;
}

/* Returns whether the next attempt of the run may begin, as far as its lease is concerned. */
static bool may_begin(const struct dispatch *dispatch, const struct lease_run *run)
{
    return has_waiting(run) && run->process == NULL && !run->lost &&
           clock_monotonic_ms() - run->renewed_at < BEGIN_MS && (!needs_process(run) || can_start_processes(dispatch));
}

/* Starts the process of the next attempt, of kind c or exec. */
static enum result start_process(const struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    struct attempt *attempt = &run->attempts[run->begun];

    if (is_of_kind(run, "exec"))
        return kind_exec_begin(attempt, dispatch->conf, err);
    run->process =
        kind_c_start(attempt, run->lease.count - run->begun, run->renewed_at + BEGIN_MS, dispatch->conf, err);
    return run->process != NULL ? RESULT_OK : RESULT_RETRY;
}

/*
 * Begins the next attempt of the run. When no process can be started, nothing that needs one is begun or claimed for a
 * while, and what waits for one is given back: another host may be able to.
 */
static void begin_attempt(struct dispatch *dispatch, struct lease_run *run)
{
    struct attempt *attempt = &run->attempts[run->begun];
    struct err err;

    if (!needs_process(run)) {
        kind_http_begin(attempt, dispatch->http);
    } else if (start_process(dispatch, run, &err) == RESULT_OK) {
        backoff_reset(&dispatch->starting, "starting");
    } else {
        dispatch->processes_at = clock_monotonic_ms() + backoff_next(&dispatch->starting, "starting", &err);
        return;
    }
    run->begun++;
    dispatch->running += attempt->state == ATTEMPT_RUNS;
}

/* Begins attempts as far as the limits allow. A running process of kind c begins its next attempts by itself. */
static void begin_attempts(struct dispatch *dispatch)
{
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        size_t limit = (size_t)run->lease.concurrency, running = count_running_of(dispatch, run->lease.handler);

        while (may_begin(dispatch, run) && running < limit && dispatch->running < RUNNING_MAX &&
               dispatch->unrecorded < UNRECORDED_MAX) {
            begin_attempt(dispatch, run);
            running = count_running_of(dispatch, run->lease.handler);
        }
    }
}

/* ---- runs ---- */

void add_run(struct dispatch *dispatch, const struct store_lease *lease, int64_t claimed_at)
{
    struct lease_run *run = memory_new(1, sizeof *run), **end = &dispatch->runs;

    run->attempts = memory_new(lease->count, sizeof *run->attempts);
    run->lease = *lease;
    run->renewed_at = claimed_at;
    run->served = dispatch->requests;
    for (size_t i = 0; i < lease->count; i++) {
        run->attempts[i].lease = &run->lease;
        run->attempts[i].delivery = &run->lease.deliveries[i];
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = run;
}

void end_begins(struct lease_run *run)
{
    if (run->process == NULL)
        return;
    kind_c_finish(run->process);
    count_begun(run);
}

static void free_run(struct lease_run *run)
{
    for (size_t i = 0; i < run->begun; i++)
        attempt_free(&run->attempts[i]);
    free(run->attempts);
    store_free_lease(&run->lease);
    free(run);
}

/* Frees the runs that are complete. */
static void free_runs(struct dispatch *dispatch)
{
    for (struct lease_run **link = &dispatch->runs; *link != NULL;) {
        struct lease_run *run = *link;

        if (run->settled < run->begun || has_waiting(run) || run->process != NULL || dispatch->request.run == run) {
            link = &run->next;
        } else {
            *link = run->next;
            free_run(run);
        }
    }
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
    child_end_strays();
    http_free(dispatch->http);
    free(dispatch->request.attempts);
    store_free(dispatch->store);
    free(dispatch);
}

bool dispatch_step(struct dispatch *dispatch)
{
    unsigned long requests;

    step_all_attempts(dispatch);
    do {
        requests = dispatch->requests;
        advance_requests(dispatch);
        free_runs(dispatch);
        if (dispatch->kill_at == 0)
            begin_attempts(dispatch);
    } while (dispatch->requests != requests);
    return dispatch->runs != NULL || dispatch->request.kind != REQUEST_NONE || wants_claim(dispatch);
}

const struct err *dispatch_trouble(const struct dispatch *dispatch)
{
    return dispatch->trouble.text[0] != '\0' ? &dispatch->trouble : NULL;
}

void dispatch_claim_now(struct dispatch *dispatch)
{
    dispatch->claim_at = 0;
    dispatch->asked_due = false;
}

void dispatch_stop(struct dispatch *dispatch)
{
    if (dispatch->kill_at != 0)
        return;
    dispatch->kill_at = clock_monotonic_ms() + STOP_GRACE_MS;
    dispatch->connect_at = 0;
    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        end_begins(run);
}

/* Returns whether there is something to wait for before the end: a run, or one that a claim may bring. */
static bool is_unfinished(const struct dispatch *dispatch)
{
    return dispatch->runs != NULL || dispatch->request.kind == REQUEST_CLAIM;
}

void dispatch_finish(struct dispatch *dispatch)
{
    int64_t until = clock_monotonic_ms() + STOP_MS;

    dispatch_stop(dispatch);
    while (is_unfinished(dispatch) && clock_monotonic_ms() < until) {
        dispatch_step(dispatch);
        if (is_unfinished(dispatch))
            dispatch_wait(dispatch, NULL, 0, STOP_TICK_MS);
    }
}

/* ---- waiting ---- */

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Returns when the next step is due (monotonic ms) if no descriptor becomes ready before. */
static int64_t next_step_at(const struct dispatch *dispatch)
{
    int64_t next = earlier(clock_monotonic_ms() + LONGEST_WAIT_MS, next_request_at(dispatch));

    if (dispatch->kill_at != 0 && dispatch->running > 0)
        next = earlier(next, dispatch->kill_at);
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        for (size_t i = 0; i < run->begun; i++)
            if (run->attempts[i].state == ATTEMPT_RUNS)
                next = earlier(next, run->attempts[i].deadline);
    return next;
}

/* Adds the descriptors of the attempts and of the database to POLLED, from COUNT on. Returns the number of all. */
static size_t list_descriptors(const struct dispatch *dispatch, struct pollfd *polled, size_t count)
{
    polled[count++] =
        (struct pollfd){.fd = store_descriptor(dispatch->store), .events = store_poll_events(dispatch->store)};
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next) {
        if (run->process != NULL)
            polled[count++] = (struct pollfd){.fd = kind_c_descriptor(run->process), .events = POLLIN};
        for (size_t i = 0; i < run->begun && is_of_kind(run, "exec"); i++)
            if (run->attempts[i].state == ATTEMPT_RUNS)
                polled[count++] = (struct pollfd){.fd = kind_exec_descriptor(&run->attempts[i]), .events = POLLIN};
    }
    return count;
}

static size_t count_processes(const struct dispatch *dispatch)
{
    size_t count = 0;

    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        count += run->process != NULL;
    return count + dispatch->running;
}

void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms)
{
    struct pollfd *polled = memory_new(count + 1 + count_processes(dispatch), sizeof *polled);
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
