/*
 * SPDX-License-Identifier: ISC
 *
 * The database: one connection (database.h), and one C function for each function of the schema that the programs call.
 * A function that fails returns RESULT_RETRY (connection lost, lock, shutdown: may work later, after store_connect) or
 * RESULT_FAIL (somebody must change something). A lost connection is closed before the function returns.
 */
#ifndef CANDHOOK_STORE_H
#define CANDHOOK_STORE_H

#include "base/err.h"
#include "event/event.h"
#include "spool/spool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows; /* of database.h */

/* ---- the connection: store.c ---- */

struct store;

/* Makes an unconnected store. CONNINFO is borrowed for its life. */
struct store *store_new(const char *conninfo);
void store_free(struct store *store);

/* Connects unless connected. With CHECK_VERSION, calls store_check_version on a new connection. */
MUST_CHECK enum result store_connect(struct store *store, bool check_version, struct err *err);

/* Ends the connection. */
void store_disconnect(struct store *store);

/*
 * Begins a transaction for a person who waits: each of its statements, with its waits for locks, may take MILLISECONDS.
 * Nothing of it outlives the transaction, since a pool may give the connection to somebody else. store_end commits, so
 * that it is durable, or rolls back when RESULT is not RESULT_OK; it returns RESULT, or how the commit failed.
 */
MUST_CHECK enum result store_begin(struct store *store, int milliseconds, struct err *err);
MUST_CHECK enum result store_end(struct store *store, enum result result, struct err *err);

/* For a child made by fork: closes its copy of the parent's connection and sends nothing to the server. */
void store_abandon(struct store *store);

/*
 * Connects, checks the version and listens without waiting: store_connect_step is called until *CONNECTED, again after
 * each of the events of poll(2) that store_poll_events returns for store_descriptor. On such a connection, only
 * functions X_begin are called, and X_end when store_answered returns true. After a failure the caller calls
 * store_disconnect.
 */
MUST_CHECK enum result store_connect_begin(struct store *store, struct err *err);
MUST_CHECK enum result store_connect_step(struct store *store, bool *connected, struct err *err);
bool store_answered(struct store *store);
short store_poll_events(const struct store *store);

/* Subscribes to the channel candhook, also after a reconnect; see store_descriptor. */
MUST_CHECK enum result store_listen(struct store *store, struct err *err);

/* Returns the descriptor that is readable when a notification came or the connection is lost; -1 without a connection.
 */
int store_descriptor(const struct store *store);

/* Discards the notifications that came. Returns whether there were any. A lost connection is closed. */
bool store_take_notifications(struct store *store);

/* ---- the schema: store.c ---- */

#define STORE_VERSION 1 /* of the schema that this program knows */

/* Returns RESULT_FAIL when the schema is missing or its version is not STORE_VERSION. */
MUST_CHECK enum result store_check_version(struct store *store, struct err *err);

/* Installs the schema: runs the script SQL and disconnects. NOTICE is called with the text of each notice. */
MUST_CHECK enum result store_install(struct store *store, const char *sql, void (*notice)(const char *text),
                                     struct err *err);

/* Makes the partitions of the coming months, deletes old spool positions. DONE is called with a text for each change.
 */
MUST_CHECK enum result store_maintain(struct store *store, void (*done)(const char *text), struct err *err);

/* ---- recording: store_record.c ---- */

/* Gives the offset of the segment's first byte that is not recorded; 0 for an unknown segment. */
MUST_CHECK enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *offset,
                                            struct err *err);

/* A record of the spool, as it is to be recorded: an event, or a malformed body. Everything is borrowed. */
struct store_record {
    const struct segment_record *spooled; /* its id and its body */
    const struct event *event;            /* NULL: malformed, */
    const char *reason;                   /* for this reason */
};

/* What one transaction records. Everything is borrowed. */
struct store_group {
    const struct store_record *records;
    size_t count;
    const struct spool_position *positions; /* that are stored together with the records */
    size_t position_count;
    bool notify; /* wake up the runners of all workers */
    bool run;    /* make the first attempts of sql handlers at once, except those of NOT_AT_ONCE */
    const char *const *not_at_once;
    size_t not_at_once_count;
};

/* What recording a group found out: a row of candhook_internal.record, which tells the kinds. */
struct store_note {
    const char *kind;
    const char *id; /* of the event; for "unhandled", of one of them */
    const char *module, *type;
    const char *detail; /* the reason; for "unhandled", the context of that one */
    const char *events; /* how many, in digits */
    const char *handler;
};
struct store_notes {
    struct store_note *notes;
    size_t count;
    struct rows *rows;
};

/*
 * Sends a group to be recorded. GROUP and what it borrows are not needed afterwards. After RESULT_OK, the next call
 * must be store_record_end.
 */
MUST_CHECK enum result store_record_begin(struct store *store, const struct store_group *group, struct err *err);

/*
 * Waits until the group is committed. When there are notes of the kind "refused", there are no others, and nothing was
 * recorded: the caller sends the group again with these events as malformed. NOTES are freed by store_free_notes.
 */
MUST_CHECK enum result store_record_end(struct store *store, struct store_notes *notes, struct err *err);

/*
 * After store_record_end has failed: returns the handler that ran last, "" when none did; NULL when it was the commit
 * that failed, and not what was sent.
 */
const char *store_failed_handler(const struct store *store);
void store_free_notes(struct store_notes *notes);

/* Deletes the positions of segments that are no more. */
MUST_CHECK enum result store_forget(struct store *store, const uint8_t (*segments)[UUID_BYTES], size_t count,
                                    struct err *err);

/* ---- leases: store_lease.c ---- */

/* One leased delivery. A text is NULL where the database has null. For kind sql every member after `attempt` is NULL.
 */
struct store_delivery {
    const char *event_id;
    int attempt; /* 1 for the first */
    const char *bot_token, *token_stored_at, *received_at, *module, *type;
    const char *origin_community_id, *user_id, *community_id, *profile_id;
    const char *payload, *body; /* JSON objects; payload is NULL except for kind c */
};

/* A batch of one handler's deliveries. */
struct store_lease {
    int64_t number;
    const char *handler, *kind, *target;
    int timeout_ms;
    int concurrency; /* of kinds other than sql: how many attempts may run at a time */
    struct store_delivery *deliveries;
    size_t count; /* of `deliveries` */
    struct rows *rows;
};

/* Which deliveries a process may claim. */
struct store_share {
    const char *const *kinds;
    size_t kind_count;
    const char *const *busy; /* handlers that are left out for now */
    size_t busy_count;
};

struct store_claim {
    const char *worker; /* the name of the process, by which store_release finds its leases */
    int batch;          /* the most deliveries */
    struct store_share share;
};

/* Leases a batch. COUNT is 0 when nothing is due. LEASE is freed by store_free_lease in any case. */
MUST_CHECK enum result store_claim(struct store *store, const struct store_claim *claim, struct store_lease *lease,
                                   struct err *err);
void store_free_lease(struct store_lease *lease);

/* The outcome of one attempt. */
struct store_outcome {
    const char *event_id;
    const char *result;               /* "ok", "retry" or "failed" */
    char *detail;                     /* may be NULL; bytes that are not UTF-8 are stored as `?` */
    uint64_t started_ms, finished_ms; /* since 1970 */
    long delay;                       /* seconds that a retry waits at least */
};

/* Is called with each outcome that was recorded. */
struct store_outcome_listener {
    void (*recorded)(void *context, const char *event_id, const char *result, const char *detail);
    void *context;
};

/*
 * Runs the lease's sql handler for all its deliveries, or for that of EVENT_ID, in one transaction. RESULT_FAIL when
 * the transaction failed as a whole, perhaps by the handler's timeout: then it had no effect.
 */
MUST_CHECK enum result store_run_sql(struct store *store, const struct store_lease *lease, const char *event_id,
                                     const struct store_outcome_listener *listener, struct err *err);

/* Records an outcome of the lease of this number. A delivery that the lease has lost is skipped. */
MUST_CHECK enum result store_finish(struct store *store, int64_t lease, const struct store_outcome *outcome,
                                    const struct store_outcome_listener *listener, struct err *err);

/*
 * The functions above and below, without waiting: X_begin sends, and X_end takes the answer. What X_begin borrows is
 * not needed afterwards.
 */
MUST_CHECK enum result store_claim_begin(struct store *store, const struct store_claim *claim, struct err *err);
MUST_CHECK enum result store_claim_end(struct store *store, struct store_lease *lease, struct err *err);
MUST_CHECK enum result store_finish_begin(struct store *store, int64_t lease, const struct store_outcome *outcomes,
                                          size_t count, struct err *err);
MUST_CHECK enum result store_finish_end(struct store *store, const struct store_outcome_listener *listener,
                                        struct err *err);
MUST_CHECK enum result store_renew_begin(struct store *store, int64_t lease, struct err *err);
MUST_CHECK enum result store_renew_end(struct store *store, size_t *held, struct err *err);
MUST_CHECK enum result store_give_back_begin(struct store *store, int64_t lease, const char *const *event_ids,
                                             size_t count, struct err *err);
MUST_CHECK enum result store_give_back_end(struct store *store, struct err *err);
MUST_CHECK enum result store_due_in_begin(struct store *store, const struct store_share *share, struct err *err);
MUST_CHECK enum result store_due_in_end(struct store *store, int *ms, struct err *err);

#define STORE_LEASE_MS 15000 /* how long a lease lasts from the claim, or from each renewal */

/* Extends the lease. Gives how many deliveries it still HELD: fewer than expected means that some are lost. */
MUST_CHECK enum result store_renew(struct store *store, int64_t lease, size_t *held, struct err *err);

/* Gives back all deliveries of the lease, without counting the attempt. store_give_back_begin does it for COUNT of
 * EVENT_IDS, or for all when that is NULL. */
MUST_CHECK enum result store_give_back(struct store *store, int64_t lease, struct err *err);

/* Ends the leases of a process that has died, WORKER; with a slash at its end, of all whose names begin with it. */
MUST_CHECK enum result store_release(struct store *store, const char *worker, struct err *err);

/* Gives the milliseconds until something of SHARE is due: 0 when it is already, -1 when nothing waits. */
MUST_CHECK enum result store_due_in(struct store *store, const struct store_share *share, int *ms, struct err *err);

/* ---- bot tokens: store_token.c ---- */

/* A bot token to be stored, and what is known of it. Everything is borrowed. */
struct store_new_token {
    const char *community, *token;
    const char *const *scopes; /* NULL: unknown */
    size_t scope_count;
    int64_t expires_ms; /* since 1970; 0: unknown */
    const char *how;    /* "command", "install" or "console" */
};

/* Gives how many deliveries wait for the token of a community. */
MUST_CHECK enum result store_held(struct store *store, const char *community, int64_t *held, struct err *err);

/* Stores a bot token, which replaces the one before. */
MUST_CHECK enum result store_set_bot_token(struct store *store, const struct store_new_token *given, struct err *err);

/* A bot token, without the token. NULL: unknown, or it has not ended. Times are RFC 3339 in UTC. */
struct store_token {
    const char *community;
    const char *state; /* "valid", or how it ended */
    const char *how, *stored_at, *expires_at;
    const char *scopes;               /* separated by blanks */
    const char *stored_by, *ended_at; /* of the history only */
};
struct store_tokens {
    struct store_token *tokens;
    size_t count;
    struct rows *rows;
};

/* Gives the token of each community. Freed by store_free_tokens. */
MUST_CHECK enum result store_token_list(struct store *store, struct store_tokens *tokens, struct err *err);

/* Gives all tokens that COMMUNITY had, NULL: that any had, in the order of storing. Freed by store_free_tokens. */
MUST_CHECK enum result store_token_history(struct store *store, const char *community, struct store_tokens *tokens,
                                           struct err *err);
void store_free_tokens(struct store_tokens *tokens);

/* Makes the token of COMMUNITY invalid. *DONE is false when there is no valid one. */
MUST_CHECK enum result store_revoke_bot_token(struct store *store, const char *community, bool *done, struct err *err);

/* Removes the token of COMMUNITY. *DONE is false when there is none. */
MUST_CHECK enum result store_remove_bot_token(struct store *store, const char *community, bool *done, struct err *err);

/* Calls LACKS with communities whose token was not granted all of SCOPES: some by name, in one text, and what is
 * missing, separated by blanks. */
MUST_CHECK enum result store_lacking_scopes(struct store *store, const char *const *scopes, size_t count,
                                            void (*lacks)(void *context, const char *communities, const char *missing),
                                            void *context, struct err *err);

/*
 * Gives the valid bot token of an origin community and the time at which it was stored, both freed by the caller; NULL
 * when there is none.
 */
MUST_CHECK enum result store_bot_token(struct store *store, const char *community, char **token, char **stored_at,
                                       struct err *err);

/*
 * Marks the token stored at STORED_AT as invalid: the API has refused it (401). *REFUSED is false when it was marked
 * before or a newer token has been stored.
 */
MUST_CHECK enum result store_refuse_bot_token(struct store *store, const char *community, const char *stored_at,
                                              bool *refused, struct err *err);

/* The same without waiting: see store_claim_begin. */
MUST_CHECK enum result store_refuse_bot_token_begin(struct store *store, const char *community, const char *stored_at,
                                                    struct err *err);
MUST_CHECK enum result store_refuse_bot_token_end(struct store *store, bool *refused, struct err *err);

/* ---- events: store_event.c ---- */

struct store_event {
    const char *id, *received_at, *module, *type;
    const char *body; /* JSON */
};

struct store_event_query {
    const char *after;         /* a time as text: events received since then; */
    const char *after_id;      /* not NULL: those that follow the event with this id, received at AFTER */
    const char *module, *type; /* patterns; NULL: all */
    int batch;                 /* the most events */
};

/* A page of events, in the order of receipt. */
struct store_page {
    struct store_event *events;
    size_t count;
    struct rows *rows;
};

/* Gives a page, which is freed by store_free_page after RESULT_OK, also when COUNT is 0. */
MUST_CHECK enum result store_events(struct store *store, const struct store_event_query *query, struct store_page *page,
                                    struct err *err);
void store_free_page(struct store_page *page);

/* Calls SEEN with each pair of patterns of an enabled handler. */
MUST_CHECK enum result store_wanted(struct store *store,
                                    void (*seen)(void *context, const char *module, const char *type), void *context,
                                    struct err *err);

/* ---- status: store_status.c ---- */

/* A value under a key, in an area; NAME is the handler (or the like) that it is about, or "". No member is NULL. */
struct store_fact {
    const char *area, *name, *key, *value;
};
struct store_facts {
    struct store_fact *facts;
    size_t count;
    struct rows *rows;
};

enum store_status_more {
    STORE_STATUS_ONLY,
    STORE_STATUS_COUNTS,     /* what candhook_internal.counts returns, which reads a day of outcomes */
    STORE_STATUS_DELIVERIES, /* area delivery, a handler, a state: how many; this reads all deliveries */
};

/* Gives what candhook_internal.status returns, and MORE; values are JSON. Freed by store_free_facts. */
MUST_CHECK enum result store_status(struct store *store, enum store_status_more more, struct store_facts *facts,
                                    struct err *err);

/* Gives what candhook_internal.diagnose returns: area is its item, value its detail, key is "". Freed by
 * store_free_facts. */
MUST_CHECK enum result store_diagnose(struct store *store, struct store_facts *facts, struct err *err);
void store_free_facts(struct store_facts *facts);

/* Returns the value of the first fact of AREA with KEY, "" when there is none. */
const char *store_find_fact(const struct store_facts *facts, const char *area, const char *key);

/* What became of the event that candhook doctor posted. */
struct store_probe {
    bool recorded;
    unsigned long failed, unfinished; /* outcomes other than ok and unhandled; deliveries */
    char outcomes[512];               /* "" while there is none */
};

/* Finds the event with the payload id ID, received at SINCE_MS (milliseconds since 1970) or later. */
MUST_CHECK enum result store_probe(struct store *store, int64_t since_ms, const char *id, struct store_probe *probe,
                                   struct err *err);

/* ---- the console: store_web.c ---- */

/* What a user of the console asks. Everything is borrowed. */
struct store_question {
    const char *path;  /* "overview", ...: candhook_internal.web */
    const char *asked; /* a JSON object, in UTF-8 */
    const char *who;   /* the user */
    bool may_act;
};
struct store_reply {
    int status; /* of HTTP */
    char *json; /* an object, allocated */
};

/* Both are called in a transaction of store_begin. Asks; an error that is told to the user is RESULT_OK with another
 * status than 200. */
MUST_CHECK enum result store_web(struct store *store, const struct store_question *question, struct store_reply *reply,
                                 struct err *err);

/* Stores a bot token for the user WHO, and notes it. */
MUST_CHECK enum result store_web_token(struct store *store, const struct store_new_token *given, const char *who,
                                       struct err *err);

#endif
