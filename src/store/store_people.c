/*
 * SPDX-License-Identifier: ISC
 *
 * What people's verbs ask of the schema.
 */
#include <config.h>

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bot tokens ----
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

enum result store_bot_token(struct store *store, const char *community, char **token, char **stored_at, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    *token = *stored_at = NULL;
    sql_params_text(&params, OID_TEXT, community);
    result = database_call(store->database, "select token, stored_at from candhook.bot_token($1)", &params, &rows, err);
    if (result != RESULT_OK)
        return result;
    if (rows_count(rows) > 0) {
        *token = memory_copy_text(rows_text(rows, 0, 0));
        *stored_at = memory_copy_text(rows_text(rows, 0, 1));
    }
    rows_free(rows);
    return RESULT_OK;
}

enum result store_refuse_bot_token(struct store *store, const char *community, const char *stored_at, int *refused,
                                   struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    sql_params_text(&params, OID_TEXT, community);
    sql_params_text(&params, OID_TIMESTAMPTZ, stored_at);
    result = database_call(store->database, "select candhook.refuse_bot_token($1, $2)::integer", &params, &rows, err);
    if (result != RESULT_OK)
        return result;
    *refused = atoi(rows_text(rows, 0, 0));
    rows_free(rows);
    return RESULT_OK;
}

/* ---- events and what is wanted of them ---- */

enum result store_events(struct store *store, const char *after, const char *after_id, const char *module,
                         const char *type, int batch, struct store_page *page, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    memset(page, 0, sizeof *page);
    sql_params_text(&params, OID_TIMESTAMPTZ, after);
    sql_params_text(&params, OID_UUID, after_id);
    sql_params_text(&params, OID_TEXT, module);
    sql_params_text(&params, OID_TEXT, type);
    sql_params_integer(&params, batch);
    result = database_call(
        store->database, "select id, received_at, module, type, body from candhook.events($1, $2, $3, $4, $5::integer)",
        &params, &rows, err);
    if (result != RESULT_OK)
        return result;
    page->memory = rows;
    page->count = rows_count(rows);
    page->events = calloc(page->count + 1, sizeof *page->events);
    if (page->events == NULL)
        abort();
    for (size_t row = 0; row < page->count; row++)
        page->events[row] = (struct store_event){.id = rows_text(rows, row, 0),
                                                 .received_at = rows_text(rows, row, 1),
                                                 .module = rows_text(rows, row, 2),
                                                 .type = rows_text(rows, row, 3),
                                                 .body = rows_text(rows, row, 4)};
    return RESULT_OK;
}

void store_free_page(struct store_page *page)
{
    free(page->events);
    if (page->memory != NULL)
        rows_free(page->memory);
    memset(page, 0, sizeof *page);
}

enum result store_wanted(struct store *store, void (*seen)(void *context, const char *module, const char *type),
                         void *context, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result =
        database_call(store->database, "select module, type from candhook.wanted()", &params, &rows, err);

    if (result != RESULT_OK)
        return result;
    for (size_t row = 0; row < rows_count(rows); row++)
        seen(context, rows_text(rows, row, 0), rows_text(rows, row, 1));
    rows_free(rows);
    return RESULT_OK;
}
