/*
 * SPDX-License-Identifier: ISC
 *
 * The console. What it may see and do is decided by candhook_internal.web; here texts go there and back.
 */
#include <config.h>

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdlib.h>

enum result store_web(struct store *store, const struct store_question *question, struct store_reply *reply,
                      struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result;

    *reply = (struct store_reply){0};
    sql_params_text(&params, OID_TEXT, question->path);
    sql_params_text(&params, OID_TEXT, question->asked);
    sql_params_text(&params, OID_TEXT, question->who);
    sql_params_bool(&params, question->may_act);
    result = database_call(store->database, "select status::text, answer from candhook_internal.web($1, $2, $3, $4)",
                           &params, &rows, err);
    if (rows_count(rows) > 0) {
        reply->status = atoi(rows_text(rows, 0, 0));
        reply->json = memory_copy_text(rows_text(rows, 0, 1));
    }
    rows_free(rows);
    return result;
}

static enum result note_token(struct store *store, const char *community, const char *who, struct err *err)
{
    struct sql_params params = {0};

    sql_params_text(&params, OID_TEXT, who);
    sql_params_text(&params, OID_TEXT, community);
    return database_run(store->database, "select candhook_internal.web_note($1, 'store token', $2, null)", &params,
                        err);
}

enum result store_web_token(struct store *store, const struct store_new_token *given, const char *who, struct err *err)
{
    enum result result = store_set_bot_token(store, given, err);

    return result == RESULT_OK ? note_token(store, given->community, who, err) : result;
}
