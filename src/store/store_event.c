/*
 * SPDX-License-Identifier: ISC
 *
 * Events that are recorded, and the patterns of the handlers.
 */
#include <config.h>

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdlib.h>

/* Fills PAGE, which takes over ROWS. */
static void make_page(struct rows *rows, struct store_page *page)
{
    page->rows = rows;
    page->count = rows_count(rows);
    page->events = memory_new(page->count, sizeof *page->events);
    for (size_t row = 0; row < page->count; row++)
        page->events[row] = (struct store_event){.id = rows_text(rows, row, 0),
                                                 .received_at = rows_text(rows, row, 1),
                                                 .module = rows_text(rows, row, 2),
                                                 .type = rows_text(rows, row, 3),
                                                 .body = rows_text(rows, row, 4)};
}

enum result store_events(struct store *store, const struct store_event_query *query, struct store_page *page,
                         struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    *page = (struct store_page){0};
    sql_params_text(&params, OID_TIMESTAMPTZ, query->after);
    sql_params_text(&params, OID_UUID, query->after_id);
    sql_params_text(&params, OID_TEXT, query->module);
    sql_params_text(&params, OID_TEXT, query->type);
    sql_params_integer(&params, query->batch);
    result = database_call(
        store->database,
        "select id, received_at, module, type, body from candhook_internal.events($1, $2, $3, $4, $5::integer)",
        &params, &rows, err);
    if (result == RESULT_OK)
        make_page(rows, page);
    return result;
}

void store_free_page(struct store_page *page)
{
    free(page->events);
    rows_free(page->rows);
    *page = (struct store_page){0};
}

enum result store_wanted(struct store *store, void (*seen)(void *context, const char *module, const char *type),
                         void *context, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result =
        database_call(store->database, "select module, type from candhook_internal.wanted()", &params, &rows, err);

    for (size_t row = 0; row < rows_count(rows); row++)
        seen(context, rows_text(rows, row, 0), rows_text(rows, row, 1));
    rows_free(rows);
    return result;
}
