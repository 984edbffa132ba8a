/*
 * SPDX-License-Identifier: ISC
 *
 * Recording: what the spool held becomes rows.
 */
#include <config.h>

#include "base/memory.h"
#include "store/sql_params.h"
#include "store/store_inside.h"

#include <endian.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* Handlers run inside: the limits that candhook_internal.record expects. They do not hold for the commit. */
#define BEGIN_LIMITED "begin; set local statement_timeout = 2000; set local lock_timeout = 200"

enum result store_spool_position(struct store *store, const uint8_t segment[UUID_BYTES], uint64_t *offset,
                                 struct err *err)
{
    struct sql_params params = {0};
    int64_t position = 0;
    enum result result;

    sql_params_uuid(&params, segment);
    result = database_number(store->database, "select candhook_internal.spool_position($1)", &params, &position, err);
    *offset = (uint64_t)position;
    return result;
}

static struct sql_element position_segment(const void *context, size_t index, uint64_t *scratch)
{
    const struct spool_position *positions = context;

    (void)scratch;
    return (struct sql_element){positions[index].segment, UUID_BYTES};
}

static struct sql_element position_offset(const void *context, size_t index, uint64_t *scratch)
{
    const struct spool_position *positions = context;

    *scratch = htobe64(positions[index].offset);
    return (struct sql_element){scratch, sizeof *scratch};
}

/* The records of a group that are events, or those that are malformed. Each array is one column of them. */
struct record_column {
    const struct store_record **records;
    size_t count;
    size_t offset; /* for event_text: of the column's member in struct event */
};

/* The columns that are texts, in the order of record's parameters; then come payload and extra. */
static const size_t text_columns[] = {
    offsetof(struct event, module),
    offsetof(struct event, type),
    offsetof(struct event, context_ids[EVENT_ORIGIN_COMMUNITY_ID]),
    offsetof(struct event, context_ids[EVENT_USER_ID]),
    offsetof(struct event, context_ids[EVENT_COMMUNITY_ID]),
    offsetof(struct event, context_ids[EVENT_PROFILE_ID]),
};

static struct sql_element record_id(const void *context, size_t index, uint64_t *scratch)
{
    const struct record_column *column = context;

    (void)scratch;
    return (struct sql_element){column->records[index]->spooled->id, UUID_BYTES};
}

static struct sql_element record_body(const void *context, size_t index, uint64_t *scratch)
{
    const struct segment_record *spooled = ((const struct record_column *)context)->records[index]->spooled;

    (void)scratch;
    return (struct sql_element){spooled->body, spooled->body_length};
}

static struct sql_element record_reason(const void *context, size_t index, uint64_t *scratch)
{
    (void)scratch;
    return sql_element_text(((const struct record_column *)context)->records[index]->reason);
}

static struct sql_element event_text(const void *context, size_t index, uint64_t *scratch)
{
    const struct record_column *column = context;
    const char *event = (const char *)column->records[index]->event;

    (void)scratch;
    return sql_element_text(*(char *const *)(event + column->offset));
}

static struct sql_element event_payload(const void *context, size_t index, uint64_t *scratch)
{
    const struct event *event = ((const struct record_column *)context)->records[index]->event;

    (void)scratch;
    return (struct sql_element){event->payload, event->payload_length};
}

static void add_text_column(struct sql_params *params, struct record_column *events, size_t offset)
{
    events->offset = offset;
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, events, events->count, event_text);
}

static void add_events(struct sql_params *params, struct record_column *events)
{
    sql_params_array(params, OID_UUID_ARRAY, OID_UUID, events, events->count, record_id);
    for (size_t i = 0; i < sizeof text_columns / sizeof *text_columns; i++)
        add_text_column(params, events, text_columns[i]);
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, events, events->count, event_payload);
    add_text_column(params, events, offsetof(struct event, extra));
}

static void add_malformed(struct sql_params *params, const struct record_column *malformed)
{
    sql_params_array(params, OID_UUID_ARRAY, OID_UUID, malformed, malformed->count, record_id);
    sql_params_array(params, OID_BYTEA_ARRAY, OID_BYTEA, malformed, malformed->count, record_body);
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, malformed, malformed->count, record_reason);
}

static void add_records(struct sql_params *params, const struct store_group *group)
{
    const struct store_record **sorted = memory_new(2 * group->count, sizeof *sorted);
    struct record_column events = {.records = sorted}, malformed = {.records = sorted + group->count};

    for (size_t i = 0; i < group->count; i++) {
        const struct store_record *record = &group->records[i];
        struct record_column *column = record->event != NULL ? &events : &malformed;

        column->records[column->count++] = record;
    }
    add_events(params, &events);
    add_malformed(params, &malformed);
    free(sorted);
}

static struct sql_element segment_id(const void *context, size_t index, uint64_t *scratch)
{
    (void)scratch;
    return (struct sql_element){(const uint8_t *)context + index * UUID_BYTES, UUID_BYTES};
}

enum result store_record_begin(struct store *store, const struct store_group *group, struct err *err)
{
    struct sql_params params = {0};
    enum result result = store_command(store, group->run ? BEGIN_LIMITED : "begin", err);

    store->record_failed = true;
    store->handler[0] = '\0';
    if (result != RESULT_OK)
        return result;
    sql_params_array(&params, OID_UUID_ARRAY, OID_UUID, group->positions, group->position_count, position_segment);
    sql_params_array(&params, OID_INT8_ARRAY, OID_INT8, group->positions, group->position_count, position_offset);
    add_records(&params, group);
    sql_params_bool(&params, group->notify);
    if (group->run)
        sql_params_texts(&params, group->not_at_once, group->not_at_once_count);
    else
        sql_params_text(&params, OID_TEXT_ARRAY, NULL);
    return database_send(store->database,
                         "select kind, id, module, type, detail, events, handler from candhook_internal.record"
                         "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                         &params, err);
}

const char *store_failed_handler(const struct store *store)
{
    return store->record_failed ? store->handler : NULL;
}

enum result store_record_end(struct store *store, struct store_notes *notes, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    store->record_failed = result != RESULT_OK;
    snprintf(store->handler, sizeof store->handler, "%s", database_announced(store->database));
    result = store_end(store, result, err);
    if (result != RESULT_OK) {
        rows_free(rows);
        return result;
    }
    *notes = (struct store_notes){.count = rows_count(rows), .rows = rows};
    notes->notes = memory_new(notes->count, sizeof *notes->notes);
    for (size_t row = 0; row < notes->count; row++)
        notes->notes[row] = (struct store_note){
            rows_text(rows, row, 0), rows_text(rows, row, 1), rows_text(rows, row, 2), rows_text(rows, row, 3),
            rows_text(rows, row, 4), rows_text(rows, row, 5), rows_text(rows, row, 6)};
    return RESULT_OK;
}

void store_free_notes(struct store_notes *notes)
{
    rows_free(notes->rows);
    free(notes->notes);
}

enum result store_forget(struct store *store, const uint8_t (*segments)[UUID_BYTES], size_t count, struct err *err)
{
    struct sql_params params = {0};

    if (count == 0)
        return RESULT_OK;
    sql_params_array(&params, OID_UUID_ARRAY, OID_UUID, segments, count, segment_id);
    return database_run(store->database, "select candhook_internal.forget($1)", &params, err);
}
