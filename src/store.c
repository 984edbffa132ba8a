/*
 * SPDX-License-Identifier: ISC
 *
 * The database. SQL here is only calls of our schema's functions with parameters (call.h).
 */
#include <config.h>

#include "store.h"

#include "call.h"
#include "clock.h"
#include "signals.h"
#include "text.h"

#include <endian.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 1000      /* how often a wait for an answer looks whether we were told to end */
#define PATIENCE_MS 10000 /* how long a statement may go on after that */

/* PostgreSQL counts microseconds since 2000. */
#define EPOCH_2000_MS INT64_C(946684800000)

struct store {
    const char *conninfo;
    PGconn *connection;
    int listens;
};

/* ---- connection ---- */

struct store *store_new(const char *conninfo)
{
    struct store *store = calloc(1, sizeof *store);

    if (store == NULL)
        abort();
    store->conninfo = conninfo;
    return store;
}

void store_disconnect(struct store *store)
{
    PQfinish(store->connection);
    store->connection = NULL;
}

void store_abandon(struct store *store)
{
    if (store->connection != NULL)
        close(PQsocket(store->connection)); /* PQfinish would end the parent's session */
    store->connection = NULL;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    store_disconnect(store);
    free(store);
}

/* One line of libpq's or the server's words, without its newlines. */
static void set_message(struct err *err, const char *message)
{
    size_t length;

    err_set(err, "%s", message);
    length = strlen(err->text);
    while (length > 0 && err->text[length - 1] == '\n')
        err->text[--length] = '\0';
    for (char *at = err->text; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
}

/*
 * Whether the conninfo can be read at all. What libpq says when it cannot quotes pieces that may be of the password,
 * and so does its complaint about a host that a password's @ made up.
 */
static int can_be_read(const char *conninfo)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    int good = options != NULL;

    for (PQconninfoOption *option = options; good && option->keyword != NULL; option++)
        if (strcmp(option->keyword, "host") == 0 && option->val != NULL && strchr(option->val, '@') != NULL &&
            *option->val != '/' && *option->val != '@')
            good = 0;
    PQconninfoFree(options);
    return good;
}

enum result store_connect(struct store *store, int check_version, struct err *err)
{
    /* What stands before the conninfo is a default, what stands behind it is ours to decide. */
    static const char *const keywords[] = {"connect_timeout",
                                           "keepalives_idle",
                                           "tcp_user_timeout",
                                           "dbname",
                                           "fallback_application_name",
                                           "client_encoding",
                                           NULL};
    const char *const values[] = {"10", "30", "30000", store->conninfo, "candhook", "UTF8", NULL};

    enum result result = RESULT_OK;

    if (store->connection != NULL)
        return RESULT_OK;
    if (!can_be_read(store->conninfo)) {
        err_set(err,
                "the setting database is no connection string; see candhook.conf(5), and mind that blanks want quotes "
                "and that in a URI %% and @ of a password are written %%25 and %%40");
        return RESULT_FAIL;
    }
    store->connection = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(store->connection) != CONNECTION_OK) {
        set_message(err, PQerrorMessage(store->connection));
        store_disconnect(store);
        return RESULT_RETRY;
    }
    if (check_version)
        result = store_check_version(store, err);
    if (result == RESULT_OK && store->listens)
        result = store_listen(store, err);
    if (result != RESULT_OK)
        store_disconnect(store);
    return result;
}

/* ---- calls ---- */

/* Whether an error of this SQLSTATE may pass by itself: rollbacks, resources, shutdown, locks, time limits. */
static int passes_by_itself(const char *sqlstate)
{
    static const char *const classes[] = {"08", "40", "53", "55", "57", "58"};

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (sqlstate != NULL && strncmp(sqlstate, classes[i], 2) == 0)
            return 1;
    return 0;
}

/* Takes a result or says why there is none. *RESULT_SET is the caller's to PQclear when RESULT_OK. */
static enum result take_result(struct store *store, PGresult *got, PGresult **result_set, struct err *err)
{
    ExecStatusType status = PQresultStatus(got);
    enum result result;

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *result_set = got;
        return RESULT_OK;
    }
    set_message(err, got != NULL && *PQresultErrorMessage(got) ? PQresultErrorMessage(got)
                                                               : PQerrorMessage(store->connection));
    result = got == NULL || passes_by_itself(PQresultErrorField(got, PG_DIAG_SQLSTATE)) ? RESULT_RETRY : RESULT_FAIL;
    PQclear(got);
    if (PQstatus(store->connection) != CONNECTION_OK) {
        store_disconnect(store);
        result = RESULT_RETRY;
    }
    return result;
}

static enum result not_connected(struct err *err)
{
    err_set(err, "the database connection was lost");
    return RESULT_RETRY;
}

static void cancel(PGconn *connection)
{
    PGcancel *handle = PQgetCancel(connection);
    char ignored[256];

    if (handle != NULL)
        (void)PQcancel(handle, ignored, sizeof ignored);
    PQfreeCancel(handle);
}

/*
 * Waits for the answer to what was sent. Signals are let in, and a statement that still runs PATIENCE_MS after we were
 * told to end (behind somebody's lock, say) is cancelled.
 */
static PGresult *await_result(struct store *store)
{
    PGresult *last = NULL, *got;
    int64_t told = 0;

    while (PQisBusy(store->connection)) {
        struct pollfd fd = {.fd = PQsocket(store->connection), .events = POLLIN};

        signals_poll(&fd, 1, LOOK_MS);
        if (signals_stop_asked() && told == 0)
            told = clock_monotonic_ms();
        if (told > 0 && clock_monotonic_ms() - told >= PATIENCE_MS) {
            cancel(store->connection);
            told = clock_monotonic_ms();
        }
        if (!PQconsumeInput(store->connection))
            break;
    }
    while ((got = PQgetResult(store->connection)) != NULL) {
        PQclear(last);
        last = got;
    }
    return last;
}

/* Sends a call and frees its parameters. */
static enum result run(struct store *store, const char *sql, struct call *call, PGresult **result_set, struct err *err)
{
    enum result result;

    if (store->connection == NULL)
        result = not_connected(err);
    else if (!PQsendQueryParams(store->connection, sql, call->count, call->types, (const char *const *)call->values,
                                call->lengths, call->formats, 0))
        result = take_result(store, NULL, result_set, err);
    else
        result = take_result(store, await_result(store), result_set, err);
    call_free(call);
    return result;
}

/* The same for calls whose rows do not matter. */
static enum result run_plain(struct store *store, const char *sql, struct call *call, struct err *err)
{
    PGresult *rows;
    enum result result = run(store, sql, call, &rows, err);

    if (result == RESULT_OK)
        PQclear(rows);
    return result;
}

static enum result command(struct store *store, const char *sql, struct err *err)
{
    struct call none = {0};

    return run_plain(store, sql, &none, err);
}

/* A field's text, NULL for null. */
static char *field(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static char *field_copy(const PGresult *rows, int row, int column)
{
    return text_copy(field(rows, row, column));
}

/* ---- schema ---- */

enum result store_check_version(struct store *store, struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    struct err reason;
    enum result result = run(store, "select candhook.version()", &call, &rows, &reason);
    int version;

    if (result == RESULT_RETRY) {
        *err = reason;
        return result;
    }
    if (result == RESULT_FAIL) {
        err_set(err, "the schema candhook cannot be used, run candhook init: %s", reason.text);
        return result;
    }
    version = atoi(PQgetvalue(rows, 0, 0));
    PQclear(rows);
    if (version == STORE_VERSION)
        return RESULT_OK;
    err_set(err, "the schema candhook has version %d and this program knows %d: %s", version, STORE_VERSION,
            version < STORE_VERSION ? "run candhook init" : "install a newer candhook");
    return RESULT_FAIL;
}

static void on_notice(void *context, const PGresult *notice)
{
    void (*say)(const char *) = *(void (**)(const char *))context;

    say(PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

enum result store_install(struct store *store, const char *sql, void (*notice)(const char *text), struct err *err)
{
    PGresult *rows;
    enum result result;

    if (store->connection == NULL)
        return not_connected(err);
    PQsetNoticeReceiver(store->connection, on_notice, &notice);
    result = take_result(store, PQexec(store->connection, sql), &rows, err);
    if (result == RESULT_OK)
        PQclear(rows);
    if (store->connection != NULL)
        PQsetNoticeReceiver(store->connection, NULL, NULL);
    return result;
}

/* ---- recorder ---- */

enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *position,
                                 struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result;

    call_uuid(&call, segment);
    result = run(store, "select candhook.spool_position($1)", &call, &rows, err);
    if (result == RESULT_OK) {
        *position = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
        PQclear(rows);
    }
    return result;
}

static struct element place_segment(const void *context, size_t index, uint64_t *spare)
{
    const struct spool_batch *batch = context;

    (void)spare;
    return (struct element){batch->places[index].segment, UUID_BYTES};
}

static struct element place_position(const void *context, size_t index, uint64_t *spare)
{
    const struct spool_batch *batch = context;

    *spare = htobe64(batch->places[index].position);
    return (struct element){spare, sizeof *spare};
}

static struct element record_id(const void *context, size_t index, uint64_t *spare)
{
    const struct spool_batch *batch = context;

    (void)spare;
    return (struct element){batch->records[index].id, UUID_BYTES};
}

static struct element record_body(const void *context, size_t index, uint64_t *spare)
{
    const struct spool_batch *batch = context;

    (void)spare;
    return (struct element){batch->records[index].body, batch->records[index].body_length};
}

static struct element text_element(const void *context, size_t index, uint64_t *spare)
{
    const char *text = ((const char *const *)context)[index];

    (void)spare;
    return (struct element){text, text != NULL ? strlen(text) : 0};
}

static struct element segment_id(const void *context, size_t index, uint64_t *spare)
{
    (void)spare;
    return (struct element){(const uint8_t *)context + index * UUID_BYTES, UUID_BYTES};
}

enum result store_record(struct store *store, const struct spool_batch *batch, const char *const *reasons,
                         struct store_note **notes, size_t *note_count, struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result;

    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->place_count, place_segment);
    call_array(&call, OID_INT8_ARRAY, OID_INT8, batch, batch->place_count, place_position);
    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->count, record_id);
    call_array(&call, OID_BYTEA_ARRAY, OID_BYTEA, batch, batch->count, record_body);
    call_array(&call, OID_TEXT_ARRAY, OID_TEXT, reasons, batch->count, text_element);
    result = run(store, "select kind, id, module, type, detail, events from candhook.record($1, $2, $3, $4, $5)", &call,
                 &rows, err);
    if (result != RESULT_OK)
        return result;
    *note_count = (size_t)PQntuples(rows);
    *notes = calloc(*note_count + 1, sizeof **notes);
    if (*notes == NULL)
        abort();
    for (int row = 0; row < PQntuples(rows); row++)
        (*notes)[row] =
            (struct store_note){field_copy(rows, row, 0), field_copy(rows, row, 1), field_copy(rows, row, 2),
                                field_copy(rows, row, 3), field_copy(rows, row, 4), field_copy(rows, row, 5)};
    PQclear(rows);
    return RESULT_OK;
}

void store_free_notes(struct store_note *notes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(notes[i].kind);
        free(notes[i].id);
        free(notes[i].module);
        free(notes[i].type);
        free(notes[i].detail);
        free(notes[i].events);
    }
    free(notes);
}

enum result store_forget(struct store *store, const uint8_t (*segments)[UUID_BYTES], size_t count, struct err *err)
{
    struct call call = {0};

    if (count == 0)
        return RESULT_OK;
    call_array(&call, OID_UUID_ARRAY, OID_UUID, segments, count, segment_id);
    return run_plain(store, "select candhook.forget($1)", &call, err);
}

enum result store_maintain(struct store *store, void (*say)(const char *text), struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result = run(store, "select candhook.maintain()", &call, &rows, err);

    if (result != RESULT_OK)
        return result;
    for (int row = 0; row < PQntuples(rows); row++)
        say(PQgetvalue(rows, row, 0));
    PQclear(rows);
    return RESULT_OK;
}

enum result store_release(struct store *store, const char *worker, struct err *err)
{
    struct call call = {0};

    call_text(&call, OID_TEXT, worker);
    return run_plain(store, "select candhook.release($1)", &call, err);
}

/* ---- runners ---- */

enum result store_claim(struct store *store, const char *worker, int batch, struct store_lease *lease, struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result;

    memset(lease, 0, sizeof *lease);
    call_text(&call, OID_TEXT, worker);
    call_integer(&call, batch);
    result =
        run(store,
            "select lease, handler, kind, target, timeout_ms, event_id, attempt, bot_token, received_at, module, type,"
            " origin_community_id, user_id, community_id, profile_id, payload, body"
            " from candhook.claim($1, $2::integer)",
            &call, &rows, err);
    if (result != RESULT_OK)
        return result;
    lease->memory = rows;
    lease->count = (size_t)PQntuples(rows);
    if (lease->count == 0)
        return RESULT_OK;
    lease->number = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    lease->handler = PQgetvalue(rows, 0, 1);
    lease->kind = PQgetvalue(rows, 0, 2);
    lease->target = PQgetvalue(rows, 0, 3);
    lease->timeout_ms = atoi(PQgetvalue(rows, 0, 4));
    lease->deliveries = calloc(lease->count, sizeof *lease->deliveries);
    if (lease->deliveries == NULL)
        abort();
    for (int row = 0; row < PQntuples(rows); row++)
        lease->deliveries[row] = (struct store_delivery){
            .event_id = field(rows, row, 5),
            .attempt = atoi(PQgetvalue(rows, row, 6)),
            .bot_token = field(rows, row, 7),
            .received_at = field(rows, row, 8),
            .module = field(rows, row, 9),
            .type = field(rows, row, 10),
            .origin_community_id = field(rows, row, 11),
            .user_id = field(rows, row, 12),
            .community_id = field(rows, row, 13),
            .profile_id = field(rows, row, 14),
            .payload = field(rows, row, 15),
            .body = field(rows, row, 16),
        };
    return RESULT_OK;
}

void store_free_lease(struct store_lease *lease)
{
    PQclear(lease->memory);
    free(lease->deliveries);
    memset(lease, 0, sizeof *lease);
}

/* Runs the handler inside the transaction that is open. */
static enum result run_sql_in_transaction(struct store *store, const struct store_lease *lease, const char *event_id,
                                          int timeout_ms, PGresult **rows, struct err *err)
{
    struct call limit = {0}, call = {0};
    char milliseconds[16];
    enum result result;

    snprintf(milliseconds, sizeof milliseconds, "%d", timeout_ms);
    call_text(&limit, OID_TEXT, milliseconds);
    result = run_plain(store, "select set_config('statement_timeout', $1, true)", &limit, err);
    if (result != RESULT_OK)
        return result;
    call_integer(&call, lease->number);
    call_text(&call, OID_UUID, event_id);
    return run(store, "select event_id, result, detail from candhook.run_sql($1, $2)", &call, rows, err);
}

enum result store_run_sql(struct store *store, const struct store_lease *lease, const char *event_id, int timeout_ms,
                          store_outcome_fn *seen, void *context, struct err *err)
{
    struct err ignored;
    PGresult *rows = NULL;
    enum result result = command(store, "begin", err);

    if (result != RESULT_OK)
        return result;
    result = run_sql_in_transaction(store, lease, event_id, timeout_ms, &rows, err);
    if (result == RESULT_OK)
        result = command(store, "commit", err);
    else if (store->connection != NULL && command(store, "rollback", &ignored) != RESULT_OK)
        store_disconnect(store);
    if (result == RESULT_OK)
        for (int row = 0; row < PQntuples(rows); row++)
            seen(context, field(rows, row, 0), field(rows, row, 1), field(rows, row, 2));
    PQclear(rows);
    if (result == RESULT_RETRY && store->connection != NULL)
        result = RESULT_FAIL; /* a time limit, a deadlock: this attempt's fate, not the connection's */
    return result;
}

static struct element outcome_id(const void *context, size_t index, uint64_t *spare)
{
    return text_element(&((const struct store_outcome *)context)[index].event_id, 0, spare);
}

static struct element outcome_result(const void *context, size_t index, uint64_t *spare)
{
    return text_element(&((const struct store_outcome *)context)[index].result, 0, spare);
}

static struct element time_element(uint64_t ms, uint64_t *spare)
{
    *spare = htobe64((uint64_t)(((int64_t)ms - EPOCH_2000_MS) * 1000));
    return (struct element){spare, sizeof *spare};
}

static struct element outcome_started(const void *context, size_t index, uint64_t *spare)
{
    return time_element(((const struct store_outcome *)context)[index].started_ms, spare);
}

static struct element outcome_finished(const void *context, size_t index, uint64_t *spare)
{
    return time_element(((const struct store_outcome *)context)[index].finished_ms, spare);
}

enum result store_finish(struct store *store, int64_t lease, const struct store_outcome *outcomes, size_t count,
                         store_outcome_fn *seen, void *context, struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result;
    char **details = calloc(count + 1, sizeof *details);

    if (details == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        details[i] = text_copy_utf8(outcomes[i].detail); /* one that the database refused would lose the batch */
    call_integer(&call, lease);
    call_array(&call, OID_TEXT_ARRAY, OID_TEXT, outcomes, count, outcome_id);
    call_array(&call, OID_TEXT_ARRAY, OID_TEXT, outcomes, count, outcome_result);
    call_array(&call, OID_TEXT_ARRAY, OID_TEXT, details, count, text_element);
    for (size_t i = 0; i < count; i++)
        free(details[i]);
    free(details);
    call_array(&call, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, outcomes, count, outcome_started);
    call_array(&call, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, outcomes, count, outcome_finished);
    result = run(store, "select event_id, result, detail from candhook.finish($1, $2::uuid[], $3, $4, $5, $6)", &call,
                 &rows, err);
    if (result != RESULT_OK)
        return result;
    for (int row = 0; row < PQntuples(rows); row++)
        seen(context, field(rows, row, 0), field(rows, row, 1), field(rows, row, 2));
    PQclear(rows);
    return RESULT_OK;
}

enum result store_renew(struct store *store, int64_t lease, struct err *err)
{
    struct call call = {0};

    call_integer(&call, lease);
    return run_plain(store, "select candhook.renew($1)", &call, err);
}

enum result store_give_back(struct store *store, int64_t lease, struct err *err)
{
    struct call call = {0};

    call_integer(&call, lease);
    return run_plain(store, "select candhook.give_back($1)", &call, err);
}

enum result store_due_in(struct store *store, int *ms, struct err *err)
{
    struct call call = {0};
    PGresult *rows;
    enum result result = run(store, "select candhook.due_in()", &call, &rows, err);

    if (result != RESULT_OK)
        return result;
    *ms = -1;
    if (!PQgetisnull(rows, 0, 0)) {
        double wait = strtod(PQgetvalue(rows, 0, 0), NULL) * 1000 + 0.999;

        *ms = wait > 86400000 ? 86400000 : wait < 0 ? 0 : (int)wait;
    }
    PQclear(rows);
    return RESULT_OK;
}

enum result store_listen(struct store *store, struct err *err)
{
    store->listens = 1;
    return command(store, "listen candhook", err);
}

/* Takes the notifications that are here. Returns whether there were any. */
static int take_notifications(struct store *store)
{
    PGnotify *notice;
    int found = 0;

    while ((notice = PQnotifies(store->connection)) != NULL) {
        PQfreemem(notice);
        found = 1;
    }
    return found;
}

void store_wait(struct store *store, int timeout_ms)
{
    struct pollfd fd = {.fd = -1, .events = POLLIN};

    if (store->connection != NULL) {
        if (take_notifications(store))
            return; /* one came beside the answer of an earlier call */
        fd.fd = PQsocket(store->connection);
    }
    if (signals_poll(&fd, 1, timeout_ms) <= 0)
        return;
    if (!PQconsumeInput(store->connection) || PQstatus(store->connection) != CONNECTION_OK)
        store_disconnect(store);
    else
        take_notifications(store);
}

/* ---- people ----
 *
 * A token is copied, not sent as a parameter: a server that logs statements logs their parameters, but no copied data.
 */

static void put_number(FILE *to, uint32_t value, int bytes)
{
    while (bytes-- > 0)
        putc((int)(value >> (8 * bytes) & 0xff), to);
}

static void put_field(FILE *to, const char *text)
{
    put_number(to, (uint32_t)strlen(text), 4);
    fputs(text, to);
}

/* One row in the binary form of COPY: signature, flags, extension; number of fields, fields; end. */
static char *copy_row(const char *community, const char *token, size_t *size)
{
    char *bytes;
    FILE *to = open_memstream(&bytes, size);

    if (to == NULL)
        abort();
    fwrite("PGCOPY\n\377\r\n\0", 1, 11, to);
    put_number(to, 0, 4);
    put_number(to, 0, 4);
    put_number(to, 2, 2);
    put_field(to, community);
    put_field(to, token);
    put_number(to, 0xffff, 2);
    if (fclose(to) != 0)
        abort();
    return bytes;
}

enum result store_set_bot_token(struct store *store, const char *community, const char *token, struct err *err)
{
    PGresult *got;
    enum result result;
    size_t size;
    char *row;

    if (store->connection == NULL)
        return not_connected(err);
    got = PQexec(store->connection,
                 "copy candhook.bot_token_entry (origin_community_id, token) from stdin (format binary)");
    if (PQresultStatus(got) != PGRES_COPY_IN)
        return take_result(store, got, &got, err);
    PQclear(got);
    row = copy_row(community, token, &size);
    PQputCopyData(store->connection, row, (int)size);
    PQputCopyEnd(store->connection, NULL);
    explicit_bzero(row, size);
    free(row);
    result = take_result(store, PQgetResult(store->connection), &got, err);
    if (result == RESULT_OK)
        PQclear(got);
    while (store->connection != NULL && (got = PQgetResult(store->connection)) != NULL)
        PQclear(got);
    return result;
}
