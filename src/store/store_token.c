/*
 * SPDX-License-Identifier: ISC
 *
 * Bot tokens. A new token is sent by COPY, not as a parameter: a server that logs statements logs their parameters as
 * well, but never copied data.
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

static void put_be_text(FILE *to, const char *text)
{
    put_be_number(to, (uint32_t)strlen(text), 4);
    fputs(text, to);
}

/* Returns, allocated, one row in the binary form of COPY: signature, flags, extension; number of fields, fields; end.
 */
static char *make_copy_row(const char *community, const char *token, size_t *size)
{
    char *bytes;
    FILE *to = memory_open_stream(&bytes, size);

    fwrite("PGCOPY\n\377\r\n\0", 1, 11, to);
    put_be_number(to, 0, 4);
    put_be_number(to, 0, 4);
    put_be_number(to, 2, 2);
    put_be_text(to, community);
    put_be_text(to, token);
    put_be_number(to, 0xffff, 2);
    memory_close_stream(to);
    return bytes;
}

enum result store_set_bot_token(struct store *store, const char *community, const char *token, struct err *err)
{
    size_t size;
    char *row = make_copy_row(community, token, &size);
    enum result result =
        database_copy(store->database,
                      "copy candhook_internal.bot_token_entry (origin_community_id, token) from stdin (format binary)",
                      row, size, err);

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
    result = database_call(store->database, "select token, stored_at from candhook_internal.bot_token($1)", &params,
                           &rows, err);
    if (result != RESULT_OK)
        return result;
    if (rows_count(rows) > 0) {
        *token = memory_copy_text(rows_text(rows, 0, 0));
        *stored_at = memory_copy_text(rows_text(rows, 0, 1));
    }
    rows_free(rows);
    return RESULT_OK;
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
    struct rows *rows;
    enum result result = database_receive(store->database, &rows, err);

    if (result != RESULT_OK)
        return result;
    *refused = atoi(rows_text(rows, 0, 0)) != 0;
    rows_free(rows);
    return RESULT_OK;
}

enum result store_refuse_bot_token(struct store *store, const char *community, const char *stored_at, bool *refused,
                                   struct err *err)
{
    enum result result = store_refuse_bot_token_begin(store, community, stored_at, err);

    return result == RESULT_OK ? store_refuse_bot_token_end(store, refused, err) : result;
}
