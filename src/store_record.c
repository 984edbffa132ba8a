/*
 * SPDX-License-Identifier: ISC
 *
 * What the recorder asks of the schema.
 */
#include <config.h>

#include "store_inside.h"

#include "call.h"
#include "text.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

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

static struct element segment_id(const void *context, size_t index, uint64_t *spare)
{
    (void)spare;
    return (struct element){(const uint8_t *)context + index * UUID_BYTES, UUID_BYTES};
}

enum result store_record(struct store *store, const struct spool_batch *batch, const char *const *reasons, int notify,
                         struct store_note **notes, size_t *note_count, struct err *err)
{
    struct call call = {0};
    struct rows *rows;
    enum result result;

    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->place_count, place_segment);
    call_array(&call, OID_INT8_ARRAY, OID_INT8, batch, batch->place_count, place_position);
    call_array(&call, OID_UUID_ARRAY, OID_UUID, batch, batch->count, record_id);
    call_array(&call, OID_BYTEA_ARRAY, OID_BYTEA, batch, batch->count, record_body);
    call_texts(&call, reasons, batch->count);
    call_text(&call, OID_BOOL, notify ? "true" : "false");
    result = database_call(store->database,
                           "select kind, id, module, type, detail, events from candhook.record($1, $2, $3, $4, $5, $6)",
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
