/*
 * SPDX-License-Identifier: ISC
 *
 * The connection and the schema as a whole.
 */
#include <config.h>

#include "store/store.h"

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdlib.h>

/* ---- connection ---- */

struct store *store_new(const char *conninfo)
{
    struct store *store = memory_new(1, sizeof *store);

    store->database = database_new(conninfo);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    database_free(store->database);
    free(store);
}

void store_disconnect(struct store *store)
{
    database_disconnect(store->database);
}

void store_abandon(struct store *store)
{
    database_abandon(store->database);
}

enum result store_connect(struct store *store, bool check_version, struct err *err)
{
    enum result result;

    if (database_is_connected(store->database))
        return RESULT_OK;
    result = database_connect(store->database, err);
    if (result == RESULT_OK && check_version)
        result = store_check_version(store, err);
    if (result == RESULT_OK && store->listens)
        result = store_listen(store, err);
    if (result != RESULT_OK)
        database_disconnect(store->database);
    return result;
}

enum result store_command(struct store *store, const char *sql, struct err *err)
{
    struct sql_params none = {0};

    return database_run(store->database, sql, &none, err);
}

/* ---- schema ---- */

enum result store_check_version(struct store *store, struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    struct err reason;
    enum result result = database_call(store->database, "select candhook.version()", &params, &rows, &reason);
    int version;

    if (result == RESULT_RETRY) {
        *err = reason;
        return result;
    }
    if (result == RESULT_FAIL) {
        err_set(err, "the schema candhook cannot be used, run candhook init: %s", reason.text);
        return result;
    }
    version = atoi(rows_text(rows, 0, 0));
    rows_free(rows);
    if (version == STORE_VERSION)
        return RESULT_OK;
    err_set(err, "the schema candhook has version %d and this program knows %d: %s", version, STORE_VERSION,
            version < STORE_VERSION ? "run candhook init" : "install a newer candhook");
    return RESULT_FAIL;
}

enum result store_install(struct store *store, const char *sql, void (*notice)(const char *text), struct err *err)
{
    return database_script(store->database, sql, notice, err);
}

enum result store_maintain(struct store *store, void (*done)(const char *text), struct err *err)
{
    struct sql_params params = {0};
    struct rows *rows;
    enum result result = database_call(store->database, "select candhook_internal.maintain()", &params, &rows, err);

    if (result != RESULT_OK)
        return result;
    for (size_t row = 0; row < rows_count(rows); row++)
        done(rows_text(rows, row, 0));
    rows_free(rows);
    return RESULT_OK;
}

/* ---- notifications ---- */

enum result store_listen(struct store *store, struct err *err)
{
    store->listens = true;
    return store_command(store, "listen candhook", err);
}

int store_descriptor(const struct store *store)
{
    return database_descriptor(store->database);
}

bool store_take_notifications(struct store *store)
{
    return database_take_notifications(store->database);
}
