/*
 * SPDX-License-Identifier: ISC
 *
 * What the dispatcher asks the database: one request at a time, of which the answer is taken when it has come. What
 * must stay true: nothing here waits, so that the attempts go on whatever the database does. When the connection is
 * lost, the request is forgotten; what it was for is still to be done, and is asked again on the next connection.
 * Leases are renewed before anything is claimed, or the first claim after an outage would take our own attempts as
 * lost.
 */
#include <config.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "work/dispatch_inside.h"
#include "work/kind_c.h"
#include "work/outcomes.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define CLAIM_INTERVAL_MS 5000 /* claim this often in any case: a connection pooler may drop notifications */
#define CONNECT_MS 10000       /* how long a connection may take */
#define STOP_CONNECT_MS 200    /* between two tries to connect after the stop */

static const char *const kinds[] = {"http", "c", "exec"};
#define KINDS_WITHOUT_PROCESS 1 /* so many of them, at the beginning */

/* Notes that the request was sent. */
static void note_request(struct dispatch *dispatch, enum request_kind kind, struct lease_run *run)
{
    dispatch->request.kind = kind;
    dispatch->request.run = run;
    dispatch->request.sent_at = clock_monotonic_ms();
    dispatch->requests++;
    if (run != NULL)
        run->served = dispatch->requests;
    else
        dispatch->claim_served = dispatch->requests;
}

static void forget_request(struct dispatch *dispatch)
{
    free(dispatch->request.attempts);
    dispatch->request = (struct request){.kind = REQUEST_NONE};
}

/* ---- the connection ---- */

/* Ends the connection, and connects again after a while. */
static void lose_connection(struct dispatch *dispatch, enum result result, const struct err *err)
{
    /* The recorder logs a lost database: it loses it, too. */
    int wait_ms = backoff_next(&dispatch->handling, result == RESULT_FAIL ? "handling" : NULL, err);

    if (dispatch->request.kind == REQUEST_GIVE_BACK) {
        dispatch->request.run->given_back = false; /* perhaps; so again, and nothing is begun */
        dispatch->request.run->lost = true;
    }
    forget_request(dispatch);
    store_disconnect(dispatch->store);
    dispatch->connected = false;
    dispatch->trouble = *err;
    dispatch->connect_at =
        clock_monotonic_ms() + (dispatch->kill_at != 0 && wait_ms > STOP_CONNECT_MS ? STOP_CONNECT_MS : wait_ms);
}

static enum result end_connect(struct dispatch *dispatch, struct err *err)
{
    enum result result = store_connect_step(dispatch->store, &dispatch->connected, err);

    if (result != RESULT_OK)
        return result;
    if (dispatch->connected) {
        forget_request(dispatch);
        dispatch->trouble.text[0] = '\0';
        dispatch_claim_now(dispatch);
    } else if (clock_monotonic_ms() - dispatch->request.sent_at >= CONNECT_MS) {
        err_set(err, "the database does not answer");
        return RESULT_RETRY;
    }
    return RESULT_OK;
}

/* ---- claims ---- */

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

/* Claims a batch, or asks when something will be due. */
static enum result begin_claim(struct dispatch *dispatch, struct err *err)
{
    const char **busy = memory_new(count_runs(dispatch), sizeof *busy);
    const struct store_claim claim = {
        .worker = dispatch->worker,
        .batch = BATCH,
        .share = {kinds, can_start_processes(dispatch) ? sizeof kinds / sizeof *kinds : KINDS_WITHOUT_PROCESS, busy,
                  list_busy_handlers(dispatch, busy)},
    };
    enum result result;

    note_request(dispatch, dispatch->asked_due ? REQUEST_DUE_IN : REQUEST_CLAIM, NULL);
    if (dispatch->asked_due)
        result = store_due_in_begin(dispatch->store, &claim.share, err);
    else
        result = store_claim_begin(dispatch->store, &claim, err);
    free(busy);
    return result;
}

static enum result end_claim(struct dispatch *dispatch, struct err *err)
{
    struct store_lease lease;
    enum result result = store_claim_end(dispatch->store, &lease, err);

    if (result == RESULT_OK && lease.count > 0) {
        add_run(dispatch, &lease, dispatch->request.sent_at);
    } else {
        store_free_lease(&lease);
        dispatch->asked_due = true;
    }
    return result;
}

/* Sets when to claim again: when the next delivery is due, or after CLAIM_INTERVAL_MS. */
static enum result end_due_in(struct dispatch *dispatch, struct err *err)
{
    int64_t now = clock_monotonic_ms();
    bool claim_anyway = !dispatch->asked_due; /* dispatch_claim_now was called meanwhile */
    int due;
    enum result result = store_due_in_end(dispatch->store, &due, err);

    dispatch->asked_due = false;
    if (result != RESULT_OK || claim_anyway)
        return result;
    dispatch->claim_at = now + (due >= 0 && due < CLAIM_INTERVAL_MS ? due : CLAIM_INTERVAL_MS);
    if (!can_start_processes(dispatch) && dispatch->processes_at < dispatch->claim_at)
        dispatch->claim_at = dispatch->processes_at;
    return RESULT_OK;
}

/* ---- tokens that the API has refused ---- */

static struct attempt *find_refused_token(const struct lease_run *run)
{
    for (size_t i = 0; i < run->begun; i++)
        if (run->attempts[i].state == ATTEMPT_ENDED && run->attempts[i].token_refused)
            return &run->attempts[i];
    return NULL;
}

static enum result begin_refuse_token(struct dispatch *dispatch, struct lease_run *run, struct attempt *attempt,
                                      struct err *err)
{
    note_request(dispatch, REQUEST_REFUSE_TOKEN, run);
    dispatch->request.attempts = memory_new(1, sizeof *dispatch->request.attempts);
    dispatch->request.attempts[0] = attempt;
    return store_refuse_bot_token_begin(dispatch->store, attempt->delivery->origin_community_id,
                                        attempt->delivery->token_stored_at, err);
}

/* When the token cannot be marked, the next attempt tries again. */
static enum result end_refuse_token(struct dispatch *dispatch, struct err *err)
{
    struct attempt *attempt = dispatch->request.attempts[0];
    const char *community = attempt->delivery->origin_community_id;
    bool refused = false;
    enum result result = store_refuse_bot_token_end(dispatch->store, &refused, err);

    if (result == RESULT_RETRY)
        return result;
    attempt->token_refused = false;
    if (strcmp(attempt->outcome.result, "failed") == 0)
        attempt->outcome.result = "retry"; /* it may work with the next token */
    if (refused)
        outcomes_refused_token(community, dispatch->conf->redirect_uri);
    else if (result != RESULT_OK)
        outcomes_unmarked_token(community, err->text);
    return RESULT_OK;
}

/* ---- outcomes ---- */

/* What store_finish_end has told. */
struct recorded {
    const struct lease_run *run;
    size_t count;
};

static void log_outcome(void *context, const char *event_id, const char *result, const char *detail)
{
    struct recorded *recorded = context;

    recorded->count++;
    outcomes_attempt(recorded->run->lease.handler, event_id, result, detail);
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

static bool has_ended(const struct lease_run *run)
{
    for (size_t i = 0; i < run->begun; i++)
        if (run->attempts[i].state == ATTEMPT_ENDED)
            return true;
    return false;
}

static enum result begin_finish(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    struct store_outcome *outcomes = memory_new(run->begun, sizeof *outcomes);
    struct request *request = &dispatch->request;
    enum result result;

    note_request(dispatch, REQUEST_FINISH, run);
    request->attempts = memory_new(run->begun, sizeof *request->attempts);
    request->count = list_ended(run, request->attempts);
    for (size_t i = 0; i < request->count; i++)
        outcomes[i] = request->attempts[i]->outcome;
    result = store_finish_begin(dispatch->store, run->lease.number, outcomes, request->count, err);
    free(outcomes);
    return result;
}

static void mark_settled(struct dispatch *dispatch)
{
    const struct request *request = &dispatch->request;

    for (size_t i = 0; i < request->count; i++) {
        request->attempts[i]->state = ATTEMPT_SETTLED;
        attempt_free(request->attempts[i]);
    }
    request->run->settled += request->count;
    dispatch_claim_now(dispatch); /* the handler may be below its limit again */
}

/*
 * The database refuses these outcomes: by a rule that a person made, perhaps. Several are recorded one by one, so that
 * a bad one costs only itself. In place of that one, the refusal is recorded, as an attempt to be made again; if that
 * is refused, too, it is only logged, and the lease runs out.
 */
static void note_refusal(struct dispatch *dispatch, const struct err *err)
{
    const struct request *request = &dispatch->request;
    struct attempt *attempt = request->attempts[0];

    if (request->count > 1) {
        request->run->one_by_one = true;
    } else if (!attempt->outcome_refused) {
        const char *result = attempt->outcome.result; /* a constant */

        attempt->outcome_refused = true;
        attempt_free(attempt);
        attempt_end_with(attempt, "retry", "the database refused the outcome \"%s\": %s", result, err->text);
    } else {
        outcomes_attempt(request->run->lease.handler, attempt->outcome.event_id, "lost", err->text);
        mark_settled(dispatch);
    }
}

static enum result end_finish(struct dispatch *dispatch, struct err *err)
{
    struct lease_run *run = dispatch->request.run;
    struct recorded recorded = {.run = run};
    const struct store_outcome_listener listener = {log_outcome, &recorded};
    enum result result = store_finish_end(dispatch->store, &listener, err);

    if (result == RESULT_FAIL)
        note_refusal(dispatch, err);
    if (result != RESULT_OK)
        return result == RESULT_FAIL ? RESULT_OK : result;
    mark_settled(dispatch);
    if (recorded.count < dispatch->request.count)
        run->renewed_at = 0; /* the lease is lost, or a delivery is settled: the renewal tells */
    run->one_by_one = run->one_by_one && has_ended(run);
    return RESULT_OK;
}

/* ---- leases ---- */

static enum result begin_renew(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    note_request(dispatch, REQUEST_RENEW, run);
    return store_renew_begin(dispatch->store, run->lease.number, err);
}

static void note_lost_lease(struct lease_run *run, size_t held, size_t expected)
{
    log_warning("handler=%s lease=lost deliveries=%zu held=%zu effect=\"what has not begun is given up\"",
                run->lease.handler, expected, held);
    run->lost = true;
    end_begins(run);
}

static enum result end_renew(struct dispatch *dispatch, struct err *err)
{
    struct lease_run *run = dispatch->request.run;
    size_t expected = (run->given_back ? run->begun : run->lease.count) - run->settled, held;
    enum result result = store_renew_end(dispatch->store, &held, err);

    if (result == RESULT_RETRY)
        return result;
    run->renewed_at = dispatch->request.sent_at;
    if (result == RESULT_FAIL)
        held = 0; /* nothing is known of it: as if it were lost */
    if (run->process != NULL)
        kind_c_allow(run->process, run->renewed_at + BEGIN_MS);
    if (held < expected && !run->lost)
        note_lost_lease(run, held, expected);
    return RESULT_OK;
}

/* Gives back the deliveries whose attempts were not begun. None is begun from now on. */
static enum result begin_give_back(struct dispatch *dispatch, struct lease_run *run, struct err *err)
{
    const char **ids = memory_new(run->lease.count, sizeof *ids);
    enum result result;
    size_t count = 0;

    for (size_t i = run->begun; i < run->lease.count; i++)
        ids[count++] = run->lease.deliveries[i].event_id;
    note_request(dispatch, REQUEST_GIVE_BACK, run);
    run->given_back = true;
    result = store_give_back_begin(dispatch->store, run->lease.number, ids, count, err);
    free(ids);
    return result;
}

static enum result end_give_back(struct dispatch *dispatch, struct err *err)
{
    enum result result = store_give_back_end(dispatch->store, err);

    return result == RESULT_FAIL ? RESULT_OK : result; /* then the lease runs out */
}

/* Returns whether what waits in the run is to be given back. */
static bool is_given_up(const struct dispatch *dispatch, const struct lease_run *run)
{
    return has_waiting(run) && (dispatch->kill_at != 0 || run->lost ||
                                (needs_process(run) && run->process == NULL && !can_start_processes(dispatch)));
}

/* ---- which request is next ---- */

static bool wants_renewal(const struct lease_run *run)
{
    return clock_monotonic_ms() - run->renewed_at >= RENEW_MS;
}

bool wants_claim(const struct dispatch *dispatch)
{
    if (dispatch->kill_at != 0 || dispatch->running >= RUNNING_MAX || clock_monotonic_ms() < dispatch->claim_at)
        return false;
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if (wants_renewal(run))
            return false; /* it comes first */
    return true;
}

/* Begins the request that the run needs most. *BEGAN is false when it needs none. */
static enum result begin_for_run(struct dispatch *dispatch, struct lease_run *run, bool *began, struct err *err)
{
    struct attempt *refused = find_refused_token(run);

    *began = true;
    if (wants_renewal(run))
        return begin_renew(dispatch, run, err);
    if (refused != NULL)
        return begin_refuse_token(dispatch, run, refused, err);
    if (has_ended(run))
        return begin_finish(dispatch, run, err);
    if (is_given_up(dispatch, run))
        return begin_give_back(dispatch, run, err);
    *began = false;
    return RESULT_OK;
}

/* Returns the run whose last request is longest ago, of those after the request SERVED; NULL when there is none. */
static struct lease_run *next_run(const struct dispatch *dispatch, unsigned long served)
{
    struct lease_run *next = NULL;

    for (struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if (run->served > served && (next == NULL || run->served < next->served))
            next = run;
    return next;
}

/* Begins a request: runs and claims have their turns, what has waited longest first. */
static enum result begin_request(struct dispatch *dispatch, struct err *err)
{
    bool claim = wants_claim(dispatch), began = false;
    enum result result = RESULT_OK;
    unsigned long served = 0;

    for (struct lease_run *run; !began && (run = next_run(dispatch, served)) != NULL; served = run->served) {
        if (claim && dispatch->claim_served < run->served)
            return begin_claim(dispatch, err);
        result = begin_for_run(dispatch, run, &began, err);
    }
    if (!began && claim)
        return begin_claim(dispatch, err);
    return result;
}

static enum result connect_store(struct dispatch *dispatch, struct err *err)
{
    if (clock_monotonic_ms() < dispatch->connect_at)
        return RESULT_OK;
    note_request(dispatch, REQUEST_CONNECT, NULL);
    return store_connect_begin(dispatch->store, err);
}

static enum result end_request(struct dispatch *dispatch, struct err *err)
{
    static enum result (*const ends[])(struct dispatch *, struct err *) = {
        [REQUEST_CLAIM] = end_claim,   [REQUEST_DUE_IN] = end_due_in, [REQUEST_REFUSE_TOKEN] = end_refuse_token,
        [REQUEST_FINISH] = end_finish, [REQUEST_RENEW] = end_renew,   [REQUEST_GIVE_BACK] = end_give_back,
    };
    enum result result = ends[dispatch->request.kind](dispatch, err);

    if (result == RESULT_OK) {
        forget_request(dispatch);
        backoff_reset(&dispatch->handling, "handling");
    }
    return result;
}

/* To be called between two requests: it would read the answer to one, and the loop would wait for what has come. */
static enum result take_notifications(struct dispatch *dispatch, struct err *err)
{
    if (store_take_notifications(dispatch->store))
        dispatch_claim_now(dispatch);
    if (store_descriptor(dispatch->store) >= 0)
        return RESULT_OK;
    err_set(err, "the database connection was lost");
    return RESULT_RETRY;
}

void advance_requests(struct dispatch *dispatch)
{
    enum result result = RESULT_OK;
    struct err err;

    if (dispatch->request.kind == REQUEST_CONNECT)
        result = end_connect(dispatch, &err);
    else if (dispatch->request.kind != REQUEST_NONE && store_answered(dispatch->store))
        result = end_request(dispatch, &err);
    if (result == RESULT_OK && dispatch->request.kind == REQUEST_NONE && dispatch->connected)
        result = take_notifications(dispatch, &err);
    if (result == RESULT_OK && dispatch->request.kind == REQUEST_NONE)
        result = dispatch->connected ? begin_request(dispatch, &err) : connect_store(dispatch, &err);
    if (result != RESULT_OK)
        lose_connection(dispatch, result, &err);
}

int64_t next_request_at(const struct dispatch *dispatch)
{
    int64_t next = dispatch->claim_at;

    if (dispatch->request.kind == REQUEST_CONNECT)
        return dispatch->request.sent_at + CONNECT_MS;
    if (dispatch->request.kind != REQUEST_NONE)
        return INT64_MAX;
    if (!dispatch->connected)
        return dispatch->connect_at;
    if (dispatch->kill_at != 0 || dispatch->running >= RUNNING_MAX) /* nothing is claimed */
        next = INT64_MAX;
    for (const struct lease_run *run = dispatch->runs; run != NULL; run = run->next)
        if (run->renewed_at + RENEW_MS < next)
            next = run->renewed_at + RENEW_MS;
    return next;
}
