/*
 * SPDX-License-Identifier: ISC
 *
 * What `candhook status` and `candhook doctor` ask of the schema.
 */
#include <config.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/store_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns a text of the rows, "" for null. */
static const char *text_or_empty(const struct rows *rows, size_t row, int column)
{
    const char *text = rows_text(rows, row, column);

    return text != NULL ? text : "";
}

static void make_facts(struct rows *rows, int columns, struct store_facts *facts)
{
    facts->count = rows_count(rows);
    facts->rows = rows;
    facts->facts = memory_new(facts->count, sizeof *facts->facts);
    for (size_t row = 0; row < facts->count; row++) {
        struct store_fact *fact = &facts->facts[row];

        fact->area = text_or_empty(rows, row, 0);
        fact->name = text_or_empty(rows, row, 1);
        fact->key = columns == 4 ? text_or_empty(rows, row, 2) : "";
        fact->value = text_or_empty(rows, row, columns - 1);
    }
}

void store_free_facts(struct store_facts *facts)
{
    rows_free(facts->rows);
    free(facts->facts);
    *facts = (struct store_facts){0};
}

const char *store_find_fact(const struct store_facts *facts, const char *area, const char *key)
{
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, area) == 0 && strcmp(facts->facts[i].key, key) == 0)
            return facts->facts[i].value;
    return "";
}

enum result store_status(struct store *store, enum store_status_more more, struct store_facts *facts, struct err *err)
{
#define STATUS "select area, name, key, value from candhook_internal.status()"
    static const char *const sql[] = {
        [STORE_STATUS_ONLY] = STATUS,
        [STORE_STATUS_COUNTS] = STATUS " union all select area, name, key, value from candhook_internal.counts()",
        [STORE_STATUS_DELIVERIES] = STATUS " union all select 'delivery', handler, state, deliveries::pg_catalog.text "
                                           "from candhook_internal.delivery_states()"};
    struct sql_params params = {0};
    struct rows *rows;
    enum result result = database_call(store->database, sql[more], &params, &rows, err);

    *facts = (struct store_facts){0};
    if (result == RESULT_OK)
        make_facts(rows, 4, facts);
    return result;
}

enum result store_diagnose(struct store *store, struct store_facts *facts, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result = database_call(store->database, "select item, name, detail from candhook_internal.diagnose()",
                                       &params, &rows, err);

    *facts = (struct store_facts){0};
    if (result == RESULT_OK)
        make_facts(rows, 3, facts);
    return result;
}

enum result store_probe(struct store *store, int64_t since_ms, const char *id, struct store_probe *probe,
                        struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;
    char since[CLOCK_TEXT_BYTES];

    *probe = (struct store_probe){0};
    sql_params_text(&params, OID_TIMESTAMPTZ, clock_text_seconds(since_ms, since));
    sql_params_text(&params, OID_TEXT, id);
    result = database_call(store->database, "select outcomes, failed, unfinished from candhook_internal.probe($1, $2)",
                           &params, &rows, err);
    if (rows_count(rows) > 0) {
        probe->recorded = true;
        probe->failed = strtoul(text_or_empty(rows, 0, 1), NULL, 10);
        probe->unfinished = strtoul(text_or_empty(rows, 0, 2), NULL, 10);
        snprintf(probe->outcomes, sizeof probe->outcomes, "%s", text_or_empty(rows, 0, 0));
    }
    rows_free(rows);
    return result;
}
