/*
 * SPDX-License-Identifier: ISC
 *
 * What the recorder asks of the schema.
 */
#include <config.h>

#include "base/memory.h"
#include "store/sql_params.h"
#include "store/store_inside.h"

#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *position,
                                 struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    sql_params_uuid(&params, segment);
    result = database_call(store->database, "select candhook.spool_position($1)", &params, &rows, err);
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
    return (struct element){batch->positions[index].segment, UUID_BYTES};
}

static struct element place_position(const void *context, size_t index, uint64_t *spare)
{
    const struct spool_batch *batch = context;

    *spare = htobe64(batch->positions[index].offset);
    return (struct element){spare, sizeof *spare};
}

/* The records of a batch that are events, or those that are not, and a column of them. */
struct part {
    const struct spool_batch *batch;
    const struct judged *judged;
    size_t *records; /* which of the batch */
    size_t count;
    size_t column; /* for event_text: where in struct event */
};

/* The columns that are texts, in the order of candhook.record; payload comes behind them, then extra. */
static const size_t text_columns[] = {
    offsetof(struct event, module),
    offsetof(struct event, type),
    offsetof(struct event, context_ids[EVENT_ORIGIN_COMMUNITY_ID]),
    offsetof(struct event, context_ids[EVENT_USER_ID]),
    offsetof(struct event, context_ids[EVENT_COMMUNITY_ID]),
    offsetof(struct event, context_ids[EVENT_PROFILE_ID]),
};

static struct element record_id(const void *context, size_t index, uint64_t *spare)
{
    const struct part *part = context;

    (void)spare;
    return (struct element){part->batch->records[part->records[index]].id, UUID_BYTES};
}

static struct element record_body(const void *context, size_t index, uint64_t *spare)
{
    const struct part *part = context;
    const struct segment_record *record = &part->batch->records[part->records[index]];

    (void)spare;
    return (struct element){record->body, record->body_length};
}

static struct element record_reason(const void *context, size_t index, uint64_t *spare)
{
    const struct part *part = context;
    const char *reason = part->judged[part->records[index]].reason;

    (void)spare;
    return (struct element){reason, strlen(reason)};
}

static struct element event_text(const void *context, size_t index, uint64_t *spare)
{
    const struct part *part = context;
    const struct event *event = &part->judged[part->records[index]].event;
    const char *text = *(char *const *)((const char *)event + part->column);

    (void)spare;
    return (struct element){text, text != NULL ? strlen(text) : 0};
}

static struct element event_payload(const void *context, size_t index, uint64_t *spare)
{
    const struct part *part = context;
    const struct event *event = &part->judged[part->records[index]].event;

    (void)spare;
    return (struct element){event->payload, event->payload_length};
}

static void sql_params_text_column(struct sql_params *params, struct part *part, size_t column)
{
    part->column = column;
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, part, part->count, event_text);
}

static void call_events(struct sql_params *params, struct part *events)
{
    sql_params_array(params, OID_UUID_ARRAY, OID_UUID, events, events->count, record_id);
    for (size_t i = 0; i < sizeof text_columns / sizeof *text_columns; i++)
        sql_params_text_column(params, events, text_columns[i]);
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, events, events->count, event_payload);
    sql_params_text_column(params, events, offsetof(struct event, extra));
}

static void call_malformed(struct sql_params *params, const struct part *malformed)
{
    sql_params_array(params, OID_UUID_ARRAY, OID_UUID, malformed, malformed->count, record_id);
    sql_params_array(params, OID_BYTEA_ARRAY, OID_BYTEA, malformed, malformed->count, record_body);
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, malformed, malformed->count, record_reason);
}

/* The parameters behind those of the spool's places. */
static void call_records(struct sql_params *params, const struct spool_batch *batch, const struct judged *judged)
{
    size_t *records = calloc(2 * batch->count + 1, sizeof *records);
    struct part events = {batch, judged, records, 0, 0}, malformed = {batch, judged, records + batch->count, 0, 0};

    if (records == NULL)
        abort();
    for (size_t i = 0; i < batch->count; i++) {
        struct part *part = judged[i].reason == NULL ? &events : &malformed;

        part->records[part->count++] = i;
    }
    call_events(params, &events);
    call_malformed(params, &malformed);
    free(records);
}

static struct element segment_id(const void *context, size_t index, uint64_t *spare)
{
    (void)spare;
    return (struct element){(const uint8_t *)context + index * UUID_BYTES, UUID_BYTES};
}

enum result store_record_begin(struct store *store, const struct spool_batch *batch, const struct judged *judged,
                               int notify, struct err *err)
{
    struct sql_params params = {0};

    sql_params_array(&params, OID_UUID_ARRAY, OID_UUID, batch, batch->position_count, place_segment);
    sql_params_array(&params, OID_INT8_ARRAY, OID_INT8, batch, batch->position_count, place_position);
    call_records(&params, batch, judged);
    sql_params_text(&params, OID_BOOL, notify ? "true" : "false");
    return database_send(store->database,
                         "select kind, id, module, type, detail, events from candhook.record"
                         "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                         &params, err);
}

enum result store_record_end(struct store *store, struct store_note **notes, size_t *note_count, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    if (result != RESULT_OK)
        return result;
    *note_count = rows_count(rows);
    *notes = calloc(*note_count + 1, sizeof **notes);
    if (*notes == NULL)
        abort();
    for (size_t row = 0; row < rows_count(rows); row++)
        (*notes)[row] =
            (struct store_note){memory_copy_text(rows_text(rows, row, 0)), memory_copy_text(rows_text(rows, row, 1)),
                                memory_copy_text(rows_text(rows, row, 2)), memory_copy_text(rows_text(rows, row, 3)),
                                memory_copy_text(rows_text(rows, row, 4)), memory_copy_text(rows_text(rows, row, 5))};
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
    struct sql_params params = {0};

    if (count == 0)
        return RESULT_OK;
    sql_params_array(&params, OID_UUID_ARRAY, OID_UUID, segments, count, segment_id);
    return database_run(store->database, "select candhook.forget($1)", &params, err);
}
