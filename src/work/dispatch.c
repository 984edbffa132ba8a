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
#include "base/log.h"
#include "base/memory.h"
#include "http/http.h"
#include "work/attempt.h"
#include "work/backoff.h"
#include "work/child.h"
#include "work/kind_c.h"
#include "work/kind_exec.h"
#include "work/kind_http.h"
#include "work/outcome_log.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define RUNNING_MAX 256        /* attempts at a time, of all handlers together */
#define RENEW_MS 4000          /* how often a lease is renewed */
#define BEGIN_MS 7500          /* after this long without a renewal nothing is begun: half of a lease's time */
#define CLAIM_INTERVAL_MS 5000 /* claim this often in any case: a connection pooler may drop notifications */
#define STOP_GRACE_MS 10000    /* how long attempts may go on after the stop */

_Static_assert(BEGIN_MS <= STORE_LEASE_MS / 2, "an attempt begins only while its lease is valid for a good while");

static const char *const kinds[] = {"http", "c", "exec"};
#define KINDS_WITHOUT_PROCESS 1 /* so many of them, at the beginning */

struct lease_run {
    struct lease_run *next;
    struct store_lease lease;
    struct attempt *attempts;  /* one for each delivery */
    size_t begun, settled;     /* how many */
    struct c_process *process; /* of kind c, while one runs */
    int64_t renewed_at;        /* monotonic ms: when the last renewal was sent; 0: at once */
    bool lost;                 /* others have some of its deliveries: nothing more is begun */
    bool given_back;           /* those that were not begun */
    bool one_by_one;           /* outcomes, since the database has refused several together */
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
    int64_t processes_at;   /* monotonic ms: when processes may be started again */
    struct backoff starting;
};

struct dispatch *dispatch_new(const struct conf *conf, struct store *store, const char *worker)
{
    struct dispatch *dispatch = memory_new(1, sizeof *dispatch);

    dispatch->conf = conf;
    dispatch->store = store;
    dispatch->worker = worker;
    dispatch->http = http_new();
    child_adopt();
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
    child_end_strays();
}

/* ---- starting ---- */

static bool has_waiting(const struct lease_run *run)
{
    return run->begun < run->lease.count && !run->given_back;
}

static bool needs_process(const struct lease_run *run)
{
    return !is_of_kind(run, "http");
}

/* Returns whether processes can be started, as far as is known. */
static bool can_start_processes(const struct dispatch *dispatch)
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

        while (may_begin(dispatch, run) && running < limit && dispatch->running < RUNNING_MAX) {
            begin_attempt(dispatch, run);
            running = count_running_of(dispatch, run->lease.handler);
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
static void add_run(struct dispatch *dispatch, const struct store_lease *lease, int64_t claimed_at)
{
    struct lease_run *run = memory_new(1, sizeof *run), **end = &dispatch->runs;

    run->attempts = memory_new(lease->count, sizeof *run->attempts);
    run->lease = *lease;
    run->renewed_at = claimed_at;
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

    if (result != RESULT_OK)
        return result;
    dispatch->claim_at = clock_monotonic_ms() + (due >= 0 && due < CLAIM_INTERVAL_MS ? due : CLAIM_INTERVAL_MS);
    if (!can_start_processes(dispatch) && dispatch->processes_at < dispatch->claim_at)
        dispatch->claim_at = dispatch->processes_at;
    return result;
}

/* Claims one batch. *LEASED is whether there was one. */
static enum result claim_batch(struct dispatch *dispatch, bool *leased, struct err *err)
{
    const char **busy = memory_new(count_runs(dispatch), sizeof *busy);
    const struct store_claim claim = {
        .worker = dispatch->worker,
        .batch = BATCH,
        .share = {kinds, can_start_processes(dispatch) ? sizeof kinds / sizeof *kinds : KINDS_WITHOUT_PROCESS, busy,
                  list_busy_handlers(dispatch, busy)},
    };
    int64_t claimed_at = clock_monotonic_ms();
    struct store_lease lease;
    enum result result = store_claim(dispatch->store, &claim, &lease, err);

    *leased = result == RESULT_OK && lease.count > 0;
    if (*leased)
        add_run(dispatch, &lease, claimed_at);
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

/* Marks the token that the API refused in this attempt as invalid. When it cannot be, the next attempt tries again. */
static enum result refuse_token(struct dispatch *dispatch, struct attempt *attempt, struct err *err)
{
    const struct store_delivery *delivery = attempt->delivery;
    bool refused = false;
    enum result result = store_refuse_bot_token(dispatch->store, delivery->origin_community_id,
                                                delivery->token_stored_at, &refused, err);

    if (result == RESULT_RETRY)
        return result;
    attempt->token_refused = false;
    if (strcmp(attempt->outcome.result, "failed") == 0)
        attempt->outcome.result = "retry"; /* it may work with the next token */
    if (refused)
        outcome_log_refused_token(delivery->origin_community_id);
    else if (result != RESULT_OK)
        outcome_log_unmarked_token(delivery->origin_community_id, err->text);
    return RESULT_OK;
}

/* Marks the tokens that the API refused in attempts of the run that ended. */
static enum result refuse_tokens(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    enum result result = RESULT_OK;

    for (size_t i = 0; i < run->begun && result == RESULT_OK; i++)
        if (run->attempts[i].state == ATTEMPT_ENDED && run->attempts[i].token_refused)
            result = refuse_token(dispatch, &run->attempts[i], err);
    return result;
}

/* What store_finish has recorded. */
struct recorded {
    const struct lease_run *run;
    size_t count;
};

static void log_outcome(void *context, const char *event_id, const char *result, const char *detail)
{
    struct recorded *recorded = context;

    recorded->count++;
    outcome_log_attempt(recorded->run->lease.handler, event_id, result, detail);
}

/* Lists attempts that ended: all, or only the first. Returns how many. */
static size_t list_ended(const struct lease_run *run, struct attempt **ended)
{
    size_t count = 0;

    for (size_t i = 0; i < run->begun && (count == 0 || !run->one_by_one); i++)
        if (run->attempts[i].state == ATTEMPT_ENDED)
            ended[count++] = &run->attempts[i];
    return count;
}

static void mark_settled(struct dispatch *dispatch, struct lease_run *run, struct attempt *const *ended, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ended[i]->state = ATTEMPT_SETTLED;
        attempt_free(ended[i]);
    }
    run->settled += count;
    dispatch_claim_now(dispatch); /* the handler may be below its limit again */
}

/*
 * The database refuses these outcomes: a rule that a person made, perhaps. Several are recorded one by one, so that a
 * bad one costs only itself. In place of that one, the refusal is recorded, as one to be tried again; if that is
 * refused, too, it is only logged, and the lease runs out.
 */
static void note_refusal(struct dispatch *dispatch, struct lease_run *run, struct attempt *const *ended, size_t count,
                         const struct err *err)
{
    struct attempt *attempt = ended[0];
    char *result;

    if (count > 1) {
        run->one_by_one = true;
    } else if (!attempt->outcome_refused) {
        attempt->outcome_refused = true;
        result = memory_copy_text(attempt->outcome.result);
        attempt_free(attempt);
        attempt_end_with(attempt, "retry", "the database refused the outcome \"%s\": %s", result, err->text);
        free(result);
    } else {
        outcome_log_attempt(run->lease.handler, attempt->outcome.event_id, "lost", err->text);
        mark_settled(dispatch, run, ended, 1);
    }
}

/* Records the outcomes of ENDED. */
static enum result record_outcomes(struct dispatch *dispatch, struct lease_run *run, struct attempt *const *ended,
                                   size_t count, struct err *err)
{
    struct recorded recorded = {.run = run};
    const struct store_outcome_listener listener = {log_outcome, &recorded};
    struct store_outcome *outcomes = memory_new(count, sizeof *outcomes);
    enum result result;

    for (size_t i = 0; i < count; i++)
        outcomes[i] = ended[i]->outcome;
    result = store_finish(dispatch->store, run->lease.number, outcomes, count, &listener, err);
    free(outcomes);
    if (result == RESULT_FAIL)
        note_refusal(dispatch, run, ended, count, err);
    if (result != RESULT_OK)
        return result == RESULT_FAIL ? RESULT_OK : result;
    mark_settled(dispatch, run, ended, count);
    if (recorded.count < count)
        run->renewed_at = 0; /* the lease is lost, or a delivery is settled: the renewal tells */
    return RESULT_OK;
}

/* Records the attempts of the run that ended. */
static enum result settle_attempts(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    struct attempt **ended = memory_new(run->begun, sizeof *ended);
    enum result result = refuse_tokens(dispatch, run, err);
    size_t count;

    while (result == RESULT_OK && (count = list_ended(run, ended)) > 0)
        result = record_outcomes(dispatch, run, ended, count, err);
    run->one_by_one = run->one_by_one && result != RESULT_OK;
    free(ended);
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

/* Makes the run begin nothing more. */
static void end_begins(struct lease_run *run)
{
    if (run->process == NULL)
        return;
    kind_c_finish(run->process);
    count_begun(run);
}

static void note_lost_lease(struct lease_run *run, size_t held, size_t expected)
{
    log_warning("handler=%s lease=lost deliveries=%zu held=%zu effect=\"what has not begun is given up\"",
                run->lease.handler, expected, held);
    run->lost = true;
    end_begins(run);
}

static enum result renew_lease(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    size_t expected = (run->given_back ? run->begun : run->lease.count) - run->settled, held;
    int64_t sent_at = clock_monotonic_ms();
    enum result result = store_renew(dispatch->store, run->lease.number, &held, err);

    if (result != RESULT_OK)
        return result;
    run->renewed_at = sent_at;
    if (run->process != NULL)
        kind_c_allow(run->process, sent_at + BEGIN_MS);
    if (held < expected && !run->lost)
        note_lost_lease(run, held, expected);
    return RESULT_OK;
}

/* Returns whether what waits in the run is to be given back. */
static bool is_given_up(const struct dispatch *dispatch, const struct lease_run *run)
{
    return dispatch->kill_at != 0 || run->lost ||
           (needs_process(run) && run->process == NULL && !can_start_processes(dispatch));
}

/* Brings the database up to date about the run. */
static enum result update_run(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    enum result result = settle_attempts(dispatch, run, err);

    if (result == RESULT_OK && clock_monotonic_ms() - run->renewed_at >= RENEW_MS)
        result = renew_lease(dispatch, run, err);
    if (result == RESULT_OK && has_waiting(run) && is_given_up(dispatch, run))
        result = give_back_waiting(dispatch, run, err);
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
    child_end_strays();
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
        end_begins(run);
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
