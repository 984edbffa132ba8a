/*
 * SPDX-License-Identifier: ISC
 *
 * A C function for each function of the schema. SQL here is only calls of these, with parameters.
 */
#include <config.h>

#include "store.h"

#include "call.h"
#include "database.h"
#include "text.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL counts microseconds since 2000. */
#define EPOCH_2000_MS INT64_C(946684800000)

struct store {
    struct database *database;
    int listens;
};

/* ---- connection ---- */

struct store *store_new(const char *conninfo)
{
    struct store *store = calloc(1, sizeof *store);

    if (store == NULL)
        abort();
    store->database = database_new(conninfo);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    database_free(store->database);
    free(store);
}

void store_disconnect(struct store *store)
{
    database_disconnect(store->database);
}

void store_abandon(struct store *store)
{
    database_abandon(store->database);
}

enum result store_connect(struct store *store, int check_version, struct err *err)
{
    enum result result;

    if (database_is_connected(store->database))
        return RESULT_OK;
    result = database_connect(store->database, err);
    if (result == RESULT_OK && check_version)
        result = store_check_version(store, err);
    if (result == RESULT_OK && store->listens)
        result = store_listen(store, err);
    if (result != RESULT_OK)
        database_disconnect(store->database);
    return result;
}

/* Runs SQL without parameters. */
static enum result command(struct store *store, const char *sql, struct err *err)
{
    struct call none = {0};

    return database_run(store->database, sql, &none, err);
}

/* ---- schema ---- */

enum result store_check_version(struct store *store, struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    struct err reason;
    enum result result = database_call(store->database, "select candhook.version()", &call, &rows, &reason);
    int version;

    if (result == RESULT_RETRY) {
        *err = reason;
        return result;
    }
    if (result == RESULT_FAIL) {
        err_set(err, "the schema candhook cannot be used, run candhook init: %s", reason.text);
        return result;
    }
    version = atoi(rows_text(rows, 0, 0));
    rows_free(rows);
    if (version == STORE_VERSION)
        return RESULT_OK;
    err_set(err, "the schema candhook has version %d and this program knows %d: %s", version, STORE_VERSION,
            version < STORE_VERSION ? "run candhook init" : "install a newer candhook");
    return RESULT_FAIL;
}

enum result store_install(struct store *store, const char *sql, void (*notice)(const char *text), struct err *err)
{
    return database_script(store->database, sql, notice, err);
}

/* ---- recorder ---- */

enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *position,
                                 struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    enum result result;

    call_uuid(&call, segment);
    result = database_call(store->database, "select candhook.spool_position($1)", &call, &rows, err);
    if (result == RESULT_OK) {
        *position = strtoull(rows_text(rows, 0, 0), NULL, 10);
        rows_free(rows);
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
    struct rows *rows;
    enum result result;

    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->place_count, place_segment);
    call_array(&call, OID_INT8_ARRAY, OID_INT8, batch, batch->place_count, place_position);
    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->count, record_id);
    call_array(&call, OID_BYTEA_ARRAY, OID_BYTEA, batch, batch->count, record_body);
    call_array(&call, OID_TEXT_ARRAY, OID_TEXT, reasons, batch->count, text_element);
    result = database_call(store->database,
                           "select kind, id, module, type, detail, events from candhook.record($1, $2, $3, $4, $5)",
                           &call, &rows, err);
    if (result != RESULT_OK)
        return result;
    *note_count = rows_count(rows);
    *notes = calloc(*note_count + 1, sizeof **notes);
    if (*notes == NULL)
        abort();
    for (size_t row = 0; row < rows_count(rows); row++)
        (*notes)[row] = (struct store_note){text_copy(rows_text(rows, row, 0)), text_copy(rows_text(rows, row, 1)),
                                            text_copy(rows_text(rows, row, 2)), text_copy(rows_text(rows, row, 3)),
                                            text_copy(rows_text(rows, row, 4)), text_copy(rows_text(rows, row, 5))};
    rows_free(rows);
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
    return database_run(store->database, "select candhook.forget($1)", &call, err);
}

enum result store_maintain(struct store *store, void (*say)(const char *text), struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    enum result result = database_call(store->database, "select candhook.maintain()", &call, &rows, err);

    if (result != RESULT_OK)
        return result;
    for (size_t row = 0; row < rows_count(rows); row++)
        say(rows_text(rows, row, 0));
    rows_free(rows);
    return RESULT_OK;
}

enum result store_release(struct store *store, const char *worker, struct err *err)
{
    struct call call = {0};

    call_text(&call, OID_TEXT, worker);
    return database_run(store->database, "select candhook.release($1)", &call, err);
}

/* ---- runners ---- */

enum result store_claim(struct store *store, const char *worker, int batch, struct store_lease *lease, struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    enum result result;

    memset(lease, 0, sizeof *lease);
    call_text(&call, OID_TEXT, worker);
    call_integer(&call, batch);
    result = database_call(
        store->database,
        "select lease, handler, kind, target, timeout_ms, event_id, attempt, bot_token, received_at, module, type,"
        " origin_community_id, user_id, community_id, profile_id, payload, body"
        " from candhook.claim($1, $2::integer)",
        &call, &rows, err);
    if (result != RESULT_OK)
        return result;
    lease->memory = rows;
    lease->count = rows_count(rows);
    if (lease->count == 0)
        return RESULT_OK;
    lease->number = strtoll(rows_text(rows, 0, 0), NULL, 10);
    lease->handler = rows_text(rows, 0, 1);
    lease->kind = rows_text(rows, 0, 2);
    lease->target = rows_text(rows, 0, 3);
    lease->timeout_ms = atoi(rows_text(rows, 0, 4));
    lease->deliveries = calloc(lease->count, sizeof *lease->deliveries);
    if (lease->deliveries == NULL)
        abort();
    for (size_t row = 0; row < rows_count(rows); row++)
        lease->deliveries[row] = (struct store_delivery){
            .event_id = rows_text(rows, row, 5),
            .attempt = atoi(rows_text(rows, row, 6)),
            .bot_token = rows_text(rows, row, 7),
            .received_at = rows_text(rows, row, 8),
            .module = rows_text(rows, row, 9),
            .type = rows_text(rows, row, 10),
            .origin_community_id = rows_text(rows, row, 11),
            .user_id = rows_text(rows, row, 12),
            .community_id = rows_text(rows, row, 13),
            .profile_id = rows_text(rows, row, 14),
            .payload = rows_text(rows, row, 15),
            .body = rows_text(rows, row, 16),
        };
    return RESULT_OK;
}

void store_free_lease(struct store_lease *lease)
{
    rows_free(lease->memory);
    free(lease->deliveries);
    memset(lease, 0, sizeof *lease);
}

/* Runs the handler inside the transaction that is open. */
static enum result run_sql_in_transaction(struct store *store, const struct store_lease *lease, const char *event_id,
                                          int timeout_ms, struct rows **rows, struct err *err)
{
    struct call limit = {0}, call = {0};
    char milliseconds[16];
    enum result result;

    snprintf(milliseconds, sizeof milliseconds, "%d", timeout_ms);
    call_text(&limit, OID_TEXT, milliseconds);
    result = database_run(store->database, "select set_config('statement_timeout', $1, true)", &limit, err);
    if (result != RESULT_OK)
        return result;
    call_integer(&call, lease->number);
    call_text(&call, OID_UUID, event_id);
    return database_call(store->database, "select event_id, result, detail from candhook.run_sql($1, $2)", &call, rows,
                         err);
}

enum result store_run_sql(struct store *store, const struct store_lease *lease, const char *event_id, int timeout_ms,
                          store_outcome_fn *seen, void *context, struct err *err)
{
    struct err ignored;
    struct rows *rows = NULL;
    enum result result = command(store, "begin", err);

    if (result != RESULT_OK)
        return result;
    result = run_sql_in_transaction(store, lease, event_id, timeout_ms, &rows, err);
    if (result == RESULT_OK)
        result = command(store, "commit", err);
    else if (database_is_connected(store->database) && command(store, "rollback", &ignored) != RESULT_OK)
        store_disconnect(store);
    if (result == RESULT_OK)
        for (size_t row = 0; row < rows_count(rows); row++)
            seen(context, rows_text(rows, row, 0), rows_text(rows, row, 1), rows_text(rows, row, 2));
    rows_free(rows);
    if (result == RESULT_RETRY && database_is_connected(store->database))
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
    struct rows *rows;
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
    result = database_call(store->database,
                           "select event_id, result, detail from candhook.finish($1, $2::uuid[], $3, $4, $5, $6)",
                           &call, &rows, err);
    if (result != RESULT_OK)
        return result;
    for (size_t row = 0; row < rows_count(rows); row++)
        seen(context, rows_text(rows, row, 0), rows_text(rows, row, 1), rows_text(rows, row, 2));
    rows_free(rows);
    return RESULT_OK;
}

enum result store_renew(struct store *store, int64_t lease, struct err *err)
{
    struct call call = {0};

    call_integer(&call, lease);
    return database_run(store->database, "select candhook.renew($1)", &call, err);
}

enum result store_give_back(struct store *store, int64_t lease, struct err *err)
{
    struct call call = {0};

    call_integer(&call, lease);
    return database_run(store->database, "select candhook.give_back($1)", &call, err);
}

enum result store_due_in(struct store *store, int *ms, struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    enum result result = database_call(store->database, "select candhook.due_in()", &call, &rows, err);

    if (result != RESULT_OK)
        return result;
    *ms = -1;
    if (rows_text(rows, 0, 0) != NULL) {
        double wait = strtod(rows_text(rows, 0, 0), NULL) * 1000 + 0.999;

        *ms = wait > 86400000 ? 86400000 : wait < 0 ? 0 : (int)wait;
    }
    rows_free(rows);
    return RESULT_OK;
}

enum result store_listen(struct store *store, struct err *err)
{
    store->listens = 1;
    return command(store, "listen candhook", err);
}

void store_wait(struct store *store, int timeout_ms)
{
    database_wait(store->database, timeout_ms);
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
    size_t size;
    char *row = copy_row(community, token, &size);
    enum result result = database_copy(
        store->database, "copy candhook.bot_token_entry (origin_community_id, token) from stdin (format binary)", row,
        size, err);

    explicit_bzero(row, size);
    free(row);
    return result;
}
