/*
 * SPDX-License-Identifier: ISC
 *
 * Bot tokens: stored, read, refused, ended, and listed. A new token is sent by COPY, not as a parameter: a server that
 * logs statements logs their parameters as well, but never copied data.
 */
#include <config.h>

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_be_number(FILE *to, uint32_t value, int bytes)
{
    while (bytes-- > 0)
        putc((int)(value >> (8 * bytes) & 0xff), to);
}

/* Returns, allocated, FIELDS as a row in the binary form of COPY: signature, flags, extension; number of fields,
 * fields, each after its length; end. */
static char *make_copy_row(const struct sql_params *fields, size_t *size)
{
    char *bytes;
    FILE *to = memory_open_stream(&bytes, size);

    fwrite("PGCOPY\n\377\r\n\0", 1, 11, to);
    put_be_number(to, 0, 4);
    put_be_number(to, 0, 4);
    put_be_number(to, (uint32_t)fields->count, 2);
    for (int i = 0; i < fields->count; i++) {
        const char *value = fields->values[i];

        put_be_number(to, value != NULL ? (uint32_t)fields->lengths[i] : UINT32_MAX, 4);
        if (value != NULL)
            fwrite(value, 1, (size_t)fields->lengths[i], to);
    }
    put_be_number(to, 0xffff, 2);
    memory_close_stream(to);
    return bytes;
}

enum result store_set_bot_token(struct store *store, const struct store_new_token *given, struct err *err)
{
    struct sql_params fields = {0};
    enum result result;
    size_t size;
    char *row;

    sql_params_text(&fields, OID_TEXT, given->community);
    sql_params_text(&fields, OID_TEXT, given->token);
    if (given->scopes != NULL)
        sql_params_texts(&fields, given->scopes, given->scope_count);
    else
        sql_params_text(&fields, OID_TEXT_ARRAY, NULL);
    sql_params_time(&fields, given->expires_ms);
    sql_params_text(&fields, OID_TEXT, given->how);
    row = make_copy_row(&fields, &size);
    result = database_copy(store->database,
                           "copy candhook_internal.bot_token_entry (origin_community_id, token, scopes, "
                           "expires_at, how) from stdin (format binary)",
                           row, size, err);

    explicit_bzero(row, size);
    free(row);
    explicit_bzero(fields.values[1], strlen(given->token));
    sql_params_free(&fields);
    return result;
}

enum result store_bot_token(struct store *store, const char *community, char **token, char **stored_at, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    *token = *stored_at = NULL;
    sql_params_text(&params, OID_TEXT, community);
    result = database_call(store->database, "select token, stored_at from candhook_internal.bot_token($1)", &params,
                           &rows, err);
    if (rows_count(rows) > 0) {
        *token = memory_copy_text(rows_text(rows, 0, 0));
        *stored_at = memory_copy_text(rows_text(rows, 0, 1));
    }
    rows_free(rows);
    return result;
}

enum result store_refuse_bot_token_begin(struct store *store, const char *community, const char *stored_at,
                                         struct err *err)
{
    struct sql_params params = {0};

    sql_params_text(&params, OID_TEXT, community);
    sql_params_text(&params, OID_TIMESTAMPTZ, stored_at);
    return database_send(store->database, "select candhook_internal.refuse_bot_token($1, $2)::integer", &params, err);
}

enum result store_refuse_bot_token_end(struct store *store, bool *refused, struct err *err)
{
    int64_t count = 0;
    enum result result = database_receive_number(store->database, &count, err);

    *refused = count != 0;
    return result;
}

enum result store_refuse_bot_token(struct store *store, const char *community, const char *stored_at, bool *refused,
                                   struct err *err)
{
    enum result result = store_refuse_bot_token_begin(store, community, stored_at, err);

    return result == RESULT_OK ? store_refuse_bot_token_end(store, refused, err) : result;
}

/* ---- what is known of tokens ---- */

/* Takes over ROWS, of token_list (6 columns) or token_history (8). */
static void make_tokens(struct rows *rows, bool history, struct store_tokens *tokens)
{
    tokens->rows = rows;
    tokens->count = rows_count(rows);
    tokens->tokens = memory_new(tokens->count, sizeof *tokens->tokens);
    for (size_t row = 0; row < tokens->count; row++)
        tokens->tokens[row] = (struct store_token){.community = rows_text(rows, row, 0),
                                                   .state = rows_text(rows, row, 1),
                                                   .how = rows_text(rows, row, 2),
                                                   .stored_at = rows_text(rows, row, 3),
                                                   .expires_at = rows_text(rows, row, 4),
                                                   .scopes = rows_text(rows, row, 5),
                                                   .stored_by = history ? rows_text(rows, row, 6) : NULL,
                                                   .ended_at = history ? rows_text(rows, row, 7) : NULL};
}

enum result store_token_list(struct store *store, struct store_tokens *tokens, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result = database_call(store->database,
                                       "select community, state, how, stored_at, expires_at, scopes "
                                       "from candhook_internal.token_list()",
                                       &params, &rows, err);

    *tokens = (struct store_tokens){0};
    if (result == RESULT_OK)
        make_tokens(rows, false, tokens);
    return result;
}

enum result store_token_history(struct store *store, const char *community, struct store_tokens *tokens,
                                struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    *tokens = (struct store_tokens){0};
    sql_params_text(&params, OID_TEXT, community);
    result = database_call(store->database,
                           "select community, state, how, stored_at, expires_at, scopes, stored_by, ended_at "
                           "from candhook_internal.token_history($1)",
                           &params, &rows, err);
    if (result == RESULT_OK)
        make_tokens(rows, true, tokens);
    return result;
}

void store_free_tokens(struct store_tokens *tokens)
{
    free(tokens->tokens);
    rows_free(tokens->rows);
    *tokens = (struct store_tokens){0};
}

/* ---- the end of a token ---- */

/* Calls SQL, which returns 1 when it did something. */
static enum result end_bot_token(struct store *store, const char *sql, const char *community, bool *done,
                                 struct err *err)
{
    struct sql_params params = {0};
    int64_t count = 0;
    enum result result;

    sql_params_text(&params, OID_TEXT, community);
    result = database_number(store->database, sql, &params, &count, err);
    *done = count != 0;
    return result;
}

enum result store_revoke_bot_token(struct store *store, const char *community, bool *done, struct err *err)
{
    return end_bot_token(store, "select candhook.revoke_bot_token($1)::integer", community, done, err);
}

enum result store_remove_bot_token(struct store *store, const char *community, bool *done, struct err *err)
{
    return end_bot_token(store, "select candhook.remove_bot_token($1)::integer", community, done, err);
}

enum result store_lacking_scopes(struct store *store, const char *const *scopes, size_t count,
                                 void (*lacks)(void *context, const char *communities, const char *missing),
                                 void *context, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    sql_params_texts(&params, scopes, count);
    result = database_call(store->database, "select communities, missing from candhook_internal.lacking_scopes($1)",
                           &params, &rows, err);
    for (size_t row = 0; row < rows_count(rows); row++)
        lacks(context, rows_text(rows, row, 0), rows_text(rows, row, 1));
    rows_free(rows);
    return result;
}

enum result store_held(struct store *store, const char *community, int64_t *held, struct err *err)
{
    struct sql_params params = {0};

    sql_params_text(&params, OID_TEXT, community);
    return database_number(store->database, "select candhook_internal.held_count($1)", &params, held, err);
}
