/*
 * SPDX-License-Identifier: ISC
 *
 * The database: one connection (database.h), and one C function for each function of the schema that the programs call.
 * Every function may fail with RESULT_RETRY (the connection, a lock, a shutdown: try again after
 * store_connect) or RESULT_FAIL (anything that a person must look at); the connection that was lost is closed by then.
 */
#ifndef CANDHOOK_STORE_H
#define CANDHOOK_STORE_H

#include "base/err.h"
#include "event/event.h"
#include "spool/spool.h"

#include <stddef.h>
#include <stdint.h>

#define STORE_VERSION 1 /* of the schema that this program knows */

struct store;

/* Makes an unconnected store. CONNINFO is borrowed for its life. */
struct store *store_new(const char *conninfo);
void store_free(struct store *store);

/* Connects unless connected. With CHECK_VERSION, RESULT_FAIL when the schema is missing or not of STORE_VERSION. */
MUST_CHECK enum result store_connect(struct store *store, int check_version, struct err *err);

/* In a child made by fork: lets go of the parent's connection without a word to the server. */
void store_abandon(struct store *store);

/* Ends the connection. */
void store_disconnect(struct store *store);

/* Whether the schema's version is still ours. */
MUST_CHECK enum result store_check_version(struct store *store, struct err *err);

/* Installs the schema by sending SQL whole. NOTICE gets each notice's text. The connection is closed then. */
MUST_CHECK enum result store_install(struct store *store, const char *sql, void (*notice)(const char *text),
                                     struct err *err);

/* ---- the recorder's ---- */

MUST_CHECK enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *position,
                                            struct err *err);

/* What a record of the spool is: an event, or why it is none. */
struct judged {
    struct event event;
    char *reason; /* allocated; NULL: it is an event */
};

/* Something that recording found worth a line in the log. */
struct store_note {
    char *kind; /* "malformed", "unhandled", or "refused": an event that the database cannot store */
    char *id, *module, *type, *detail;
    char *events; /* how many */
};

/*
 * Sends a batch to be recorded; JUDGED holds what each of its records is, and neither is needed any longer afterwards.
 * With NOTIFY all workers are told. When RESULT_OK, the next call must be store_record_end.
 */
MUST_CHECK enum result store_record_begin(struct store *store, const struct spool_batch *batch,
                                          const struct judged *judged, int notify, struct err *err);

/*
 * Waits until it is recorded. When there are notes of the kind "refused", there are no others, and nothing was
 * recorded: to be begun again with these as malformed. Frees NOTES by store_free_notes.
 */
MUST_CHECK enum result store_record_end(struct store *store, struct store_note **notes, size_t *note_count,
                                        struct err *err);
void store_free_notes(struct store_note *notes, size_t count);

MUST_CHECK enum result store_forget(struct store *store, const uint8_t (*segments)[UUID_BYTES], size_t count,
                                    struct err *err);

/* Keeps house; SAY gets a line for each thing done. */
MUST_CHECK enum result store_maintain(struct store *store, void (*say)(const char *text), struct err *err);

/* Gives back what a worker that ended had leased. */
MUST_CHECK enum result store_release(struct store *store, const char *worker, struct err *err);

/* ---- the runners' ---- */

/* One leased delivery. Texts are NULL where the database has null; after `attempt` all are for kind sql. */
struct store_delivery {
    const char *event_id;
    int attempt;
    const char *bot_token, *token_stored_at, *received_at, *module, *type;
    const char *origin_community_id, *user_id, *community_id, *profile_id;
    const char *payload, *body;
};

/* A batch of one handler's deliveries. */
struct store_lease {
    int64_t number; /* 0: only locked, by the transaction that store_run_sql ends; then DELIVERIES has but the first */
    int batch;      /* how many were asked for */
    const char *handler, *kind, *target;
    int timeout_ms;
    int concurrency; /* of a kind that is not sql: so many attempts at a time */
    struct store_delivery *deliveries;
    size_t count;
    void *memory; /* what the texts live in */
};

/* The part of the work that a process takes. */
struct store_share {
    const char *const *kinds;
    size_t kind_count;
    const char *const *busy; /* handlers of which it takes nothing more for now */
    size_t busy_count;
};

/*
 * Leases a batch for WORKER. COUNT 0 when nothing is due. To be freed by store_free_lease, also then. With ONLY_LOCK,
 * what can be is only locked and not counted (candhook.claim): then it must be run by store_run_sql next.
 */
MUST_CHECK enum result store_claim(struct store *store, const char *worker, int batch, int only_lock,
                                   const struct store_share *share, struct store_lease *lease, struct err *err);
void store_free_lease(struct store_lease *lease);

/* What came of one attempt; times are milliseconds since 1970. Bytes of the detail that are no UTF-8 become `?`. */
struct store_outcome {
    const char *event_id;
    const char *result; /* "ok", "retry" or "failed"; borrowed */
    char *detail;       /* may be NULL */
    uint64_t started_ms, finished_ms;
    long delay; /* seconds that a retry waits at least */
};

/* Called for each outcome that was recorded. */
typedef void store_outcome_fn(void *context, const char *event_id, const char *result, const char *detail);

/*
 * Runs the lease's sql handler for all its deliveries, or for the one of EVENT_ID, in one transaction of at most
 * TIMEOUT_MS. RESULT_FAIL when that transaction failed as a whole: nothing of it happened.
 */
MUST_CHECK enum result store_run_sql(struct store *store, const struct store_lease *lease, const char *event_id,
                                     int timeout_ms, store_outcome_fn *seen, void *context, struct err *err);

MUST_CHECK enum result store_finish(struct store *store, int64_t lease, const struct store_outcome *outcomes,
                                    size_t count, store_outcome_fn *seen, void *context, struct err *err);

MUST_CHECK enum result store_renew(struct store *store, int64_t lease, struct err *err);

/* Gives back what the lease still holds, or only those COUNT of EVENT_IDS, without counting the attempt. */
MUST_CHECK enum result store_give_back(struct store *store, int64_t lease, const char *const *event_ids, size_t count,
                                       struct err *err);

/* Milliseconds until something of SHARE is due, 0 when it is, -1 when nothing waits. */
MUST_CHECK enum result store_due_in(struct store *store, const struct store_share *share, int *ms, struct err *err);

/* From now on store_wait ends when the schema notifies. */
MUST_CHECK enum result store_listen(struct store *store, struct err *err);

/* The descriptor that can be read when a notification comes, or the connection is lost; -1 without a connection. */
int store_descriptor(const struct store *store);

/* Takes the notifications that came. Returns whether there were any. A lost connection is closed. */
int store_take_notifications(struct store *store);

/* ---- people's ---- */

MUST_CHECK enum result store_set_bot_token(struct store *store, const char *community, const char *token,
                                           struct err *err);

/* The valid bot token of an origin community and when it was stored, both to be freed; *TOKEN is NULL when there is
 * none. */
MUST_CHECK enum result store_bot_token(struct store *store, const char *community, char **token, char **stored_at,
                                       struct err *err);

/* The API refused (401) the token stored at STORED_AT: it is not valid any more. *REFUSED is 0 when another one has
 * been stored since, or it was marked before. */
MUST_CHECK enum result store_refuse_bot_token(struct store *store, const char *community, const char *stored_at,
                                              int *refused, struct err *err);

/* A page of events, in order of receipt. */
struct store_event {
    const char *id, *received_at, *module, *type;
    const char *body; /* JSON */
};
struct store_page {
    struct store_event *events;
    size_t count;
    void *memory; /* what the texts live in */
};

/* Up to BATCH events from AFTER on (a time as text), or behind the one received then with the id AFTER_ID. MODULE and
 * TYPE are patterns; NULL: all. To be freed by store_free_page, also when COUNT is 0. */
MUST_CHECK enum result store_events(struct store *store, const char *after, const char *after_id, const char *module,
                                    const char *type, int batch, struct store_page *page, struct err *err);
void store_free_page(struct store_page *page);

/* Calls SEEN for each pair of patterns that an enabled handler has. */
MUST_CHECK enum result store_wanted(struct store *store,
                                    void (*seen)(void *context, const char *module, const char *type), void *context,
                                    struct err *err);

/* What the database tells of itself: a name and a value, in an area, and there perhaps of something with a name. */
struct store_fact {
    const char *area, *name, *key, *value;
};
struct store_facts {
    struct store_fact *facts;
    size_t count;
    void *memory; /* what the texts live in */
};

/* candhook.status: values are JSON. To be freed by store_free_facts. */
MUST_CHECK enum result store_status(struct store *store, struct store_facts *facts, struct err *err);

/* candhook.diagnose: area is its item, value its detail, key is empty. To be freed by store_free_facts. */
MUST_CHECK enum result store_diagnose(struct store *store, struct store_facts *facts, struct err *err);
void store_free_facts(struct store_facts *facts);

/* The value of the first fact of AREA with KEY, "" when there is none. */
const char *store_find_fact(const struct store_facts *facts, const char *area, const char *key);

/* What became of the marked event with the payload id ID, received at SINCE_MS (milliseconds since 1970) or later. */
struct store_probe {
    int recorded;
    unsigned long failed, unfinished; /* outcomes that are not good; deliveries */
    char outcomes[512];               /* "" while there is none */
};
MUST_CHECK enum result store_probe(struct store *store, int64_t since_ms, const char *id, struct store_probe *probe,
                                   struct err *err);

#endif
