/*
 * SPDX-License-Identifier: ISC
 *
 * The connection and the schema as a whole.
 */
#include <config.h>

#include "store/store.h"

#include "base/memory.h"
#include "store/store_inside.h"

#include <stdio.h>
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

enum result store_limit_statements(struct store *store, int milliseconds, struct err *err)
{
    struct sql_params params = {0};
    char text[16];

    snprintf(text, sizeof text, "%d", milliseconds);
    sql_params_text(&params, OID_TEXT, text);
    return database_run(store->database, "select pg_catalog.set_config('statement_timeout', $1, true)", &params, err);
}

enum result store_begin(struct store *store, int milliseconds, struct err *err)
{
    enum result result = store_command(store, "begin", err);

    if (result != RESULT_OK)
        return result;
    result = store_limit_statements(store, milliseconds, err);
    return result == RESULT_OK ? RESULT_OK : store_end(store, result, err);
}

enum result store_end(struct store *store, enum result result, struct err *err)
{
    struct sql_params none = {0};
    struct rows *rows = NULL;
    struct err ignored;

    if (result != RESULT_OK) {
        if (database_is_connected(store->database) && store_command(store, "rollback", &ignored) != RESULT_OK)
            store_disconnect(store);
        return result;
    }
    result = database_send(store->database, "commit", &none, err);
    if (result == RESULT_OK)
        result = database_receive_durable(store->database, &rows, err);
    rows_free(rows);
    return result;
}

/* ---- schema ---- */

static enum result send_version(struct store *store, struct err *err)
{
    struct sql_params params = {0};

    return database_send(store->database, "select candhook.version()", &params, err);
}

static enum result receive_version(struct store *store, struct err *err)
{
    struct rows *rows;
    struct err reason;
    enum result result = database_receive(store->database, &rows, &reason);
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

enum result store_check_version(struct store *store, struct err *err)
{
    enum result result = send_version(store, err);

    return result == RESULT_OK ? receive_version(store, err) : result;
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

    for (size_t row = 0; row < rows_count(rows); row++)
        done(rows_text(rows, row, 0));
    rows_free(rows);
    return result;
}

/* ---- without waiting ---- */

enum result store_connect_begin(struct store *store, struct err *err)
{
    store->connecting = STORE_CONNECTS;
    return database_connect_begin(store->database, err);
}

static enum result send_listen(struct store *store, struct err *err)
{
    struct sql_params none = {0};

    return database_send(store->database, "listen candhook", &none, err);
}

/* Takes the answer of the step that is done, and sends the next one. */
static enum result connect_further(struct store *store, bool *connected, struct err *err)
{
    struct rows *rows;
    enum result result;

    if (store->connecting == STORE_LISTENS) {
        result = database_receive(store->database, &rows, err);
        rows_free(rows);
        *connected = result == RESULT_OK;
        return result;
    }
    result = receive_version(store, err);
    store->connecting = STORE_LISTENS;
    return result == RESULT_OK ? send_listen(store, err) : result;
}

enum result store_connect_step(struct store *store, bool *connected, struct err *err)
{
    enum result result = RESULT_OK;
    bool reached = false;

    *connected = false;
    if (store->connecting == STORE_CONNECTS) {
        result = database_connect_step(store->database, &reached, err);
        if (result != RESULT_OK || !reached)
            return result;
        store->connecting = STORE_CHECKS_VERSION;
        result = send_version(store, err);
    }
    while (result == RESULT_OK && !*connected && database_answered(store->database))
        result = connect_further(store, connected, err);
    return result;
}

bool store_answered(struct store *store)
{
    return database_answered(store->database);
}

short store_poll_events(const struct store *store)
{
    return database_poll_events(store->database);
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
