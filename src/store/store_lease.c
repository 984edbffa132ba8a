/*
 * SPDX-License-Identifier: ISC
 *
 * Leases: claiming deliveries, running those of kind sql, and recording the outcomes.
 */
#include <config.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "store/sql_params.h"
#include "store/store_inside.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_share(struct sql_params *params, const struct store_share *share)
{
    sql_params_texts(params, share->kinds, share->kind_count);
    sql_params_texts(params, share->busy, share->busy_count);
}

enum result store_claim_begin(struct store *store, const struct store_claim *claim, struct err *err)
{
    struct sql_params params = {0};

    sql_params_text(&params, OID_TEXT, claim->worker);
    sql_params_integer(&params, claim->batch);
    add_share(&params, &claim->share);
    return database_send(
        store->database,
        "select lease, handler, kind, target, timeout_ms, concurrency, event_id, attempt, bot_token, token_stored_at,"
        " received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload, body"
        " from candhook_internal.claim($1, $2::integer, $3, $4)",
        &params, err);
}

static struct store_delivery read_delivery(const struct rows *rows, size_t row)
{
    return (struct store_delivery){
        .event_id = rows_text(rows, row, 6),
        .attempt = atoi(rows_text(rows, row, 7)),
        .bot_token = rows_text(rows, row, 8),
        .token_stored_at = rows_text(rows, row, 9),
        .received_at = rows_text(rows, row, 10),
        .module = rows_text(rows, row, 11),
        .type = rows_text(rows, row, 12),
        .origin_community_id = rows_text(rows, row, 13),
        .user_id = rows_text(rows, row, 14),
        .community_id = rows_text(rows, row, 15),
        .profile_id = rows_text(rows, row, 16),
        .payload = rows_text(rows, row, 17),
        .body = rows_text(rows, row, 18),
    };
}

/* Fills LEASE, which takes over ROWS. */
static void read_lease(struct rows *rows, struct store_lease *lease)
{
    lease->rows = rows;
    lease->count = rows_count(rows);
    if (lease->count == 0)
        return;
    lease->number = strtoll(rows_text(rows, 0, 0), NULL, 10);
    lease->handler = rows_text(rows, 0, 1);
    lease->kind = rows_text(rows, 0, 2);
    lease->target = rows_text(rows, 0, 3);
    lease->timeout_ms = atoi(rows_text(rows, 0, 4));
    lease->concurrency = atoi(rows_text(rows, 0, 5));
    lease->deliveries = memory_new(lease->count, sizeof *lease->deliveries);
    for (size_t row = 0; row < lease->count; row++)
        lease->deliveries[row] = read_delivery(rows, row);
}

enum result store_claim_end(struct store *store, struct store_lease *lease, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    *lease = (struct store_lease){0};
    read_lease(rows, lease);
    return result;
}

enum result store_claim(struct store *store, const struct store_claim *claim, struct store_lease *lease,
                        struct err *err)
{
    enum result result = store_claim_begin(store, claim, err);

    *lease = (struct store_lease){0};
    return result == RESULT_OK ? store_claim_end(store, lease, err) : result;
}

void store_free_lease(struct store_lease *lease)
{
    rows_free(lease->rows);
    free(lease->deliveries);
    *lease = (struct store_lease){0};
}

/* Runs the handler inside the open transaction. */
static enum result run_sql_in_transaction(struct store *store, const struct store_lease *lease, const char *event_id,
                                          struct rows **rows, struct err *err)
{
    struct sql_params params = {0};

    sql_params_integer(&params, lease->number);
    if (event_id != NULL)
        sql_params_texts(&params, &event_id, 1);
    else
        sql_params_text(&params, OID_TEXT_ARRAY, NULL);
    return database_call(store->database,
                         "select event_id, result, detail from candhook_internal.run_sql($1, $2::pg_catalog.uuid[])",
                         &params, rows, err);
}

/* Passes on the outcomes that were recorded. */
static void pass_outcomes(const struct rows *rows, const struct store_outcome_listener *listener)
{
    for (size_t row = 0; row < rows_count(rows); row++)
        listener->recorded(listener->context, rows_text(rows, row, 0), rows_text(rows, row, 1),
                           rows_text(rows, row, 2));
}

enum result store_run_sql(struct store *store, const struct store_lease *lease, const char *event_id,
                          const struct store_outcome_listener *listener, struct err *err)
{
    struct rows *rows = NULL;
    enum result result = store_command(store, "begin", err);

    if (result == RESULT_OK)
        result = store_limit_statements(store, lease->timeout_ms, err);
    if (result == RESULT_OK)
        result = run_sql_in_transaction(store, lease, event_id, &rows, err);
    result = store_end(store, result, err);
    if (result == RESULT_OK)
        pass_outcomes(rows, listener);
    rows_free(rows);
    if (result == RESULT_RETRY && database_is_connected(store->database))
        result = RESULT_FAIL; /* a timeout or a deadlock: it ends this attempt, and the connection is good */
    return result;
}

static struct sql_element outcome_id(const void *context, size_t index, uint64_t *scratch)
{
    (void)scratch;
    return sql_element_text(((const struct store_outcome *)context)[index].event_id);
}

static struct sql_element outcome_result(const void *context, size_t index, uint64_t *scratch)
{
    (void)scratch;
    return sql_element_text(((const struct store_outcome *)context)[index].result);
}

static struct sql_element outcome_delay(const void *context, size_t index, uint64_t *scratch)
{
    *scratch = htobe64((uint64_t)((const struct store_outcome *)context)[index].delay);
    return (struct sql_element){scratch, sizeof *scratch};
}

static struct sql_element outcome_started(const void *context, size_t index, uint64_t *scratch)
{
    return sql_element_time((int64_t)((const struct store_outcome *)context)[index].started_ms, scratch);
}

static struct sql_element outcome_finished(const void *context, size_t index, uint64_t *scratch)
{
    return sql_element_time((int64_t)((const struct store_outcome *)context)[index].finished_ms, scratch);
}

static void add_details(struct sql_params *params, const struct store_outcome *outcomes, size_t count)
{
    char **details = memory_new(count, sizeof *details);

    for (size_t i = 0; i < count; i++)
        details[i] = utf8_copy(outcomes[i].detail); /* the database would refuse all outcomes for one invalid byte */
    sql_params_texts(params, (const char *const *)details, count);
    for (size_t i = 0; i < count; i++)
        free(details[i]);
    free(details);
}

enum result store_finish_begin(struct store *store, int64_t lease, const struct store_outcome *outcomes, size_t count,
                               struct err *err)
{
    struct sql_params params = {0};

    sql_params_integer(&params, lease);
    sql_params_array(&params, OID_TEXT_ARRAY, OID_TEXT, outcomes, count, outcome_id);
    sql_params_array(&params, OID_TEXT_ARRAY, OID_TEXT, outcomes, count, outcome_result);
    add_details(&params, outcomes, count);
    sql_params_array(&params, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, outcomes, count, outcome_started);
    sql_params_array(&params, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, outcomes, count, outcome_finished);
    sql_params_array(&params, OID_INT8_ARRAY, OID_INT8, outcomes, count, outcome_delay);
    return database_send(
        store->database,
        "select event_id, result, detail from candhook_internal.finish($1, $2::pg_catalog.uuid[], $3, $4, $5, $6, $7)",
        &params, err);
}

enum result store_finish_end(struct store *store, const struct store_outcome_listener *listener, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    pass_outcomes(rows, listener);
    rows_free(rows);
    return result;
}

enum result store_finish(struct store *store, int64_t lease, const struct store_outcome *outcome,
                         const struct store_outcome_listener *listener, struct err *err)
{
    enum result result = store_finish_begin(store, lease, outcome, 1, err);

    return result == RESULT_OK ? store_finish_end(store, listener, err) : result;
}

enum result store_renew_begin(struct store *store, int64_t lease, struct err *err)
{
    struct sql_params params = {0};

    sql_params_integer(&params, lease);
    return database_send(store->database, "select candhook_internal.renew($1)", &params, err);
}

enum result store_renew_end(struct store *store, size_t *held, struct err *err)
{
    int64_t count = 0;
    enum result result = database_receive_number(store->database, &count, err);

    *held = (size_t)count;
    return result;
}

enum result store_renew(struct store *store, int64_t lease, size_t *held, struct err *err)
{
    enum result result = store_renew_begin(store, lease, err);

    return result == RESULT_OK ? store_renew_end(store, held, err) : result;
}

enum result store_give_back_begin(struct store *store, int64_t lease, const char *const *event_ids, size_t count,
                                  struct err *err)
{
    struct sql_params params = {0};

    sql_params_integer(&params, lease);
    if (event_ids != NULL)
        sql_params_texts(&params, event_ids, count);
    else
        sql_params_text(&params, OID_TEXT_ARRAY, NULL);
    return database_send(store->database, "select candhook_internal.give_back($1, $2::pg_catalog.uuid[])", &params,
                         err);
}

enum result store_give_back_end(struct store *store, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    rows_free(rows);
    return result;
}

enum result store_give_back(struct store *store, int64_t lease, struct err *err)
{
    enum result result = store_give_back_begin(store, lease, NULL, 0, err);

    return result == RESULT_OK ? store_give_back_end(store, err) : result;
}

enum result store_due_in_begin(struct store *store, const struct store_share *share, struct err *err)
{
    struct sql_params params = {0};

    add_share(&params, share);
    return database_send(store->database, "select candhook_internal.due_in($1, $2)", &params, err);
}

enum result store_due_in_end(struct store *store, int *ms, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    *ms = -1;
    if (rows_text(rows, 0, 0) != NULL) {
        double wait = strtod(rows_text(rows, 0, 0), NULL) * 1000 + 0.999;

        *ms = wait > 86400000 ? 86400000 : wait < 0 ? 0 : (int)wait;
    }
    rows_free(rows);
    return result;
}

enum result store_due_in(struct store *store, const struct store_share *share, int *ms, struct err *err)
{
    enum result result = store_due_in_begin(store, share, err);

    return result == RESULT_OK ? store_due_in_end(store, ms, err) : result;
}

enum result store_release(struct store *store, const char *worker, struct err *err)
{
    struct sql_params params = {0};

    sql_params_text(&params, OID_TEXT, worker);
    return database_run(store->database, "select candhook_internal.release($1)", &params, err);
}
