/*
 * SPDX-License-Identifier: ISC
 *
 * What the files dispatch*.c share; nobody else includes this.
 */
#ifndef CANDHOOK_DISPATCH_INSIDE_H
#define CANDHOOK_DISPATCH_INSIDE_H

#include "http/http.h"
#include "work/attempt.h"
#include "work/backoff.h"
#include "work/dispatch.h"

#define RUNNING_MAX 256 /* attempts at a time, of all handlers together */
#define BEGIN_MS 7500   /* after this long without a renewal nothing is begun: half of a lease's time */
#define RENEW_MS 4000   /* how often a lease is renewed */

/* One lease in progress: attempts[0..begun) have been started, in order; the others wait. */
struct lease_run {
    struct lease_run *next;
    struct store_lease lease;
    struct attempt *attempts;  /* one for each delivery */
    size_t begun, settled;     /* how many */
    struct c_process *process; /* of kind c, while one runs */
    int64_t renewed_at;        /* monotonic ms: when the last renewal was sent; 0: at once */
    unsigned long served;      /* number of the last request for it */
    bool lost;                 /* others have some of its deliveries: nothing more is begun */
    bool given_back;           /* those that were not begun */
    bool one_by_one;           /* outcomes, since the database has refused several together */
};

enum request_kind {
    REQUEST_NONE,
    REQUEST_CONNECT,
    REQUEST_CLAIM,
    REQUEST_DUE_IN,
    REQUEST_REFUSE_TOKEN,
    REQUEST_FINISH,
    REQUEST_RENEW,
    REQUEST_GIVE_BACK
};

/* What the database is asked and has not answered yet. */
struct request {
    enum request_kind kind;
    int64_t sent_at;           /* monotonic ms */
    struct lease_run *run;     /* that it is about; NULL for the first three */
    struct attempt **attempts; /* whose outcomes are recorded, or whose token is refused; owned */
    size_t count;
};

struct dispatch {
    const struct conf *conf;
    struct store *store;
    const char *worker;
    struct http *http;
    struct lease_run *runs; /* in the order in which they were leased */
    size_t running;         /* attempts, of all runs */
    size_t unrecorded;      /* outcomes that the database does not have yet */
    int64_t claim_at;       /* monotonic ms: when to claim again */
    int64_t kill_at;        /* monotonic ms: when to kill what runs; 0: there was no stop */
    int64_t processes_at;   /* monotonic ms: when processes may be started again */
    struct backoff starting;

    struct request request;
    unsigned long requests, claim_served; /* how many there were; number of the last claim */
    bool connected, asked_due;            /* asked_due: the last claim found nothing, and due_in is to be asked */
    int64_t connect_at;                   /* monotonic ms: when to connect again */
    struct backoff handling;
    struct err trouble; /* why there is no connection, since the last one; empty: nothing is known */
};

/* ---- dispatch.c ---- */

bool is_of_kind(const struct lease_run *run, const char *kind);

/* Returns whether some of the run's attempts are not begun, and are to be. */
bool has_waiting(const struct lease_run *run);

/* Returns whether an attempt of the run is a process. */
bool needs_process(const struct lease_run *run);

/* Returns whether processes can be started, as far as is known. */
bool can_start_processes(const struct dispatch *dispatch);

/* Returns how many attempts of the handler run, over all runs. */
size_t count_running_of(const struct dispatch *dispatch, const char *handler);

/* Appends a run of LEASE, which is taken over. */
void add_run(struct dispatch *dispatch, const struct store_lease *lease, int64_t claimed_at);

/* Makes the run begin nothing more. */
void end_begins(struct lease_run *run);

/* ---- dispatch_requests.c ---- */

/* Takes the answer to the request, and makes the next one, as far as that goes without waiting. */
void advance_requests(struct dispatch *dispatch);

/* Returns when advance_requests has something to do, if the database says nothing before (monotonic ms). */
int64_t next_request_at(const struct dispatch *dispatch);

/* Returns whether deliveries are to be claimed now. */
bool wants_claim(const struct dispatch *dispatch);

#endif
