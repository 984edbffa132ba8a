/*
 * SPDX-License-Identifier: ISC
 *
 * The connection to PostgreSQL, by libpq. A connection that turns out to be lost is closed at once, so that a
 * connection that exists may be used. `struct rows` is a PGresult under another name.
 */
#include <config.h>

#include "store/database.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOP_CHECK_MS 1000  /* how often a wait for an answer checks whether the program was told to end */
#define STOP_GRACE_MS 10000 /* how long a statement may still run then */
#define CANCEL_MS 5000      /* how long the server has to end a statement that is cancelled */

struct database {
    const char *conninfo;
    PGconn *connection;      /* NULL: none */
    struct err commit_doubt; /* a warning about the commit of the last statement; empty: none */
    struct err announced;    /* see database_announced */
    short wanted;            /* the events of poll(2) that bring a connection or statement without a wait on */
    bool answered;           /* of such a statement: all has come, */
    PGresult *answer;        /* and this is it */
};

/* ---- connection ---- */

struct database *database_new(const char *conninfo)
{
    struct database *database = memory_new(1, sizeof *database);

    database->conninfo = conninfo;
    return database;
}

void database_disconnect(struct database *database)
{
    PQfinish(database->connection);
    PQclear(database->answer);
    database->connection = NULL;
    database->answer = NULL;
    database->answered = false;
}

void database_abandon(struct database *database)
{
    if (database->connection != NULL)
        close(PQsocket(database->connection)); /* PQfinish would end the parent's session */
    database->connection = NULL;
}

void database_free(struct database *database)
{
    database_disconnect(database);
    free(database);
}

bool database_is_connected(const struct database *database)
{
    return database->connection != NULL;
}

/* Sets the description to a message of libpq or the server, as one line. */
static void set_message(struct err *err, const char *message)
{
    size_t length;

    err_set(err, "%s", message);
    length = strlen(err->text);
    while (length > 0 && err->text[length - 1] == '\n')
        err->text[--length] = '\0';
    for (char *at = err->text; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
}

/*
 * Notices are not shown: the text of a handler's may hold a bot token, or lines that a sender wrote. Two matter: what
 * our own functions announce, and that a commit which is cancelled while it waits for a synchronous standby succeeds
 * with a warning. What a function raises has a context; what the commit itself says has none.
 */
static void take_notice(void *context, const PGresult *notice)
{
    struct database *database = context;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);

    if (severity != NULL && strcmp(severity, "WARNING") == 0 && PQresultErrorField(notice, PG_DIAG_CONTEXT) == NULL)
        set_message(&database->commit_doubt, PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
    if (sqlstate != NULL && strcmp(sqlstate, DATABASE_ANNOUNCED) == 0)
        set_message(&database->announced, PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

const char *database_announced(const struct database *database)
{
    return database->announced.text;
}

/*
 * Returns whether libpq can parse the conninfo. It must not try to connect otherwise: its error message quotes parts of
 * the conninfo, which may be of the password. That holds as well for a host name that is the end of a password with @.
 */
static bool can_parse_conninfo(const char *conninfo)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    bool good = options != NULL;

    for (PQconninfoOption *option = options; good && option->keyword != NULL; option++)
        if (strcmp(option->keyword, "host") == 0 && option->val != NULL && strchr(option->val, '@') != NULL &&
            *option->val != '/' && *option->val != '@')
            good = false;
    PQconninfoFree(options);
    return good;
}

/* Makes a connection by one of libpq's two functions. */
static enum result make_connection(struct database *database,
                                   PGconn *make(const char *const *, const char *const *, int), struct err *err)
{
    /* Keywords before dbname, which holds the conninfo, are defaults; keywords after it override the conninfo. */
    static const char *const keywords[] = {"connect_timeout",
                                           "keepalives_idle",
                                           "tcp_user_timeout",
                                           "dbname",
                                           "fallback_application_name",
                                           "client_encoding",
                                           NULL};
    const char *const values[] = {"10", "30", "30000", database->conninfo, "candhook", "UTF8", NULL};

    if (!can_parse_conninfo(database->conninfo)) {
        err_set(
            err,
            "the setting database, or web_database, is not a valid connection string; see candhook.conf(5): values with blanks need "
            "quotes, and in a URI %% and @ of a password are written %%25 and %%40");
        return RESULT_FAIL;
    }
    database->connection = make(keywords, values, 1);
    PQsetNoticeReceiver(database->connection, take_notice, database);
    PQsetErrorContextVisibility(database->connection, PQSHOW_CONTEXT_NEVER); /* our own functions */
    return RESULT_OK;
}

static enum result fail_connection(struct database *database, struct err *err)
{
    set_message(err, PQerrorMessage(database->connection));
    database_disconnect(database);
    return RESULT_RETRY;
}

enum result database_connect(struct database *database, struct err *err)
{
    enum result result = make_connection(database, PQconnectdbParams, err);

    if (result == RESULT_OK && PQstatus(database->connection) != CONNECTION_OK)
        result = fail_connection(database, err);
    return result;
}

/* ---- statements ---- */

/* Returns whether a statement that failed with SQLSTATE may work later: the classes of lost connections, rollbacks,
 * resources, locks, cancelled statements and shutdown, system errors. */
static bool is_transient(const char *sqlstate)
{
    static const char *const classes[] = {"08", "40", "53", "55", "57", "58"};

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (sqlstate != NULL && strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

/* Turns GOT into rows, or into a failure with its description. */
static enum result take_result(struct database *database, PGresult *got, struct rows **rows, struct err *err)
{
    ExecStatusType status = PQresultStatus(got);
    enum result result;

    *rows = NULL;
    if (database->connection == NULL) { /* there is no result either: libpq takes NULL for a lost one */
        err_set(err, "the database connection was lost");
        return RESULT_RETRY;
    }
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *rows = (struct rows *)got;
        return RESULT_OK;
    }
    set_message(err, got != NULL && *PQresultErrorMessage(got) ? PQresultErrorMessage(got)
                                                               : PQerrorMessage(database->connection));
    result = got == NULL || is_transient(PQresultErrorField(got, PG_DIAG_SQLSTATE)) ? RESULT_RETRY : RESULT_FAIL;
    PQclear(got);
    if (PQstatus(database->connection) != CONNECTION_OK) {
        database_disconnect(database);
        result = RESULT_RETRY;
    }
    return result;
}

/* Sends the request to cancel, and waits until the server has closed that connection. A thread. */
static void *send_cancel(void *handle)
{
    char ignored[256];

    (void)PQcancel(handle, ignored, sizeof ignored);
    PQfreeCancel(handle);
    return NULL;
}

/* Cancels the statement, by a thread: where the net or the server is silent, PQcancel waits for as long as TCP does. */
static void cancel_statement(PGconn *connection)
{
    PGcancel *handle = PQgetCancel(connection);
    pthread_t thread;

    if (handle == NULL)
        return;
    if (pthread_create(&thread, NULL, send_cancel, handle) == 0)
        pthread_detach(thread);
    else
        PQfreeCancel(handle);
}

/* Closes the connection to a server that is silent: nothing more is sent, since that could wait, too. */
static void drop_connection(struct database *database)
{
    shutdown(PQsocket(database->connection), SHUT_RDWR);
    database_disconnect(database);
}

/* How a wait for an answer ends STOP_GRACE_MS after the program was told to end. */
enum stop_action { STOP_CANCELS, STOP_DISCONNECTS };

/* Takes the next step of a wait that began to end at *STOP_SEEN (0: not yet). Returns false when nothing is waited for
 * any longer: the connection is closed. */
static bool step_stop(struct database *database, enum stop_action action, int64_t *stop_seen, bool *cancelled)
{
    int64_t now = clock_monotonic_ms();

    if (*stop_seen == 0)
        *stop_seen = now;
    if (now - *stop_seen >= (*cancelled ? STOP_GRACE_MS + CANCEL_MS : STOP_GRACE_MS)) {
        if (*cancelled || action == STOP_DISCONNECTS) {
            drop_connection(database);
            return false;
        }
        cancel_statement(database->connection);
        *cancelled = true;
    }
    return true;
}

/* Waits for the answer to what was sent; NULL when there is none. */
static PGresult *await_result(struct database *database, enum stop_action action)
{
    PGresult *last = NULL, *got;
    int64_t stop_seen = 0;
    bool cancelled = false;

    while (PQisBusy(database->connection)) {
        struct pollfd fd = {.fd = PQsocket(database->connection), .events = POLLIN};

        signals_poll(&fd, 1, STOP_CHECK_MS);
        if (signals_stop_asked() && !step_stop(database, action, &stop_seen, &cancelled))
            return NULL;
        if (!PQconsumeInput(database->connection))
            break;
    }
    while ((got = PQgetResult(database->connection)) != NULL) {
        PQclear(last);
        last = got;
    }
    return last;
}

/* ---- without waiting ---- */

enum result database_connect_begin(struct database *database, struct err *err)
{
    enum result result = make_connection(database, PQconnectStartParams, err);

    if (result == RESULT_OK && PQstatus(database->connection) == CONNECTION_BAD)
        result = fail_connection(database, err);
    database->wanted = POLLOUT;
    return result;
}

enum result database_connect_step(struct database *database, bool *connected, struct err *err)
{
    struct pollfd fd = {.fd = PQsocket(database->connection), .events = database->wanted};
    PostgresPollingStatusType status;

    *connected = false;
    if (poll(&fd, 1, 0) == 0)
        return RESULT_OK; /* libpq must not be asked before */
    status = PQconnectPoll(database->connection);
    if (status == PGRES_POLLING_FAILED)
        return fail_connection(database, err);
    database->wanted = status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;
    *connected = status == PGRES_POLLING_OK;
    if (*connected)
        PQsetnonblocking(database->connection, 1);
    return RESULT_OK;
}

bool database_answered(struct database *database)
{
    database->wanted = PQflush(database->connection) == 1 ? POLLIN | POLLOUT : POLLIN;
    (void)!PQconsumeInput(database->connection); /* its failure makes an answer */
    while (!PQisBusy(database->connection)) {
        PGresult *got = PQgetResult(database->connection);

        if (got == NULL)
            return database->answered = true;
        PQclear(database->answer);
        database->answer = got;
    }
    return false;
}

short database_poll_events(const struct database *database)
{
    return database->wanted != 0 ? database->wanted : POLLIN;
}

static enum result take_answer(struct database *database, struct rows **rows, struct err *err)
{
    PGresult *answer = database->answer;

    database->answer = NULL;
    database->answered = false;
    return take_result(database, answer, rows, err);
}

/* ---- statements, waiting ---- */

static bool send_statement(struct database *database, const char *sql, const struct sql_params *params)
{
    if (params->count == 0)
        return PQsendQuery(database->connection, sql) == 1;
    return PQsendQueryParams(database->connection, sql, params->count, params->types,
                             (const char *const *)params->values, params->lengths, params->formats, 0) == 1;
}

enum result database_send(struct database *database, const char *sql, struct sql_params *params, struct err *err)
{
    bool sent = false;
    struct rows *none;

    database->commit_doubt.text[0] = '\0';
    database->announced.text[0] = '\0';
    if (database->connection != NULL)
        sent = send_statement(database, sql, params);
    sql_params_free(params);
    return sent ? RESULT_OK : take_result(database, NULL, &none, err);
}

enum result database_receive(struct database *database, struct rows **rows, struct err *err)
{
    if (database->answered)
        return take_answer(database, rows, err);
    return take_result(database, await_result(database, STOP_CANCELS), rows, err);
}

enum result database_receive_durable(struct database *database, struct rows **rows, struct err *err)
{
    enum result result = take_result(database, await_result(database, STOP_DISCONNECTS), rows, err);

    if (result != RESULT_OK || database->commit_doubt.text[0] == '\0')
        return result;
    err_set(err, "the commit may not be durable: %s", database->commit_doubt.text);
    return RESULT_RETRY;
}

enum result database_call(struct database *database, const char *sql, struct sql_params *params, struct rows **rows,
                          struct err *err)
{
    enum result result = database_send(database, sql, params, err);

    *rows = NULL;
    return result == RESULT_OK ? database_receive(database, rows, err) : result;
}

enum result database_run(struct database *database, const char *sql, struct sql_params *params, struct err *err)
{
    struct rows *rows;
    enum result result = database_call(database, sql, params, &rows, err);

    rows_free(rows);
    return result;
}

enum result database_receive_number(struct database *database, int64_t *number, struct err *err)
{
    struct rows *rows;
    enum result result = database_receive(database, &rows, err);

    if (rows_count(rows) > 0)
        *number = strtoll(rows_text(rows, 0, 0), NULL, 10);
    rows_free(rows);
    return result;
}

enum result database_number(struct database *database, const char *sql, struct sql_params *params, int64_t *number,
                            struct err *err)
{
    enum result result = database_send(database, sql, params, err);

    return result == RESULT_OK ? database_receive_number(database, number, err) : result;
}

static void pass_notice(void *context, const PGresult *result)
{
    void (*notice)(const char *) = *(void (**)(const char *))context;

    notice(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

enum result database_script(struct database *database, const char *sql, void (*notice)(const char *text),
                            struct err *err)
{
    struct rows *rows;
    enum result result;

    PQsetNoticeReceiver(database->connection, pass_notice, &notice);
    result = take_result(database, PQexec(database->connection, sql), &rows, err);
    rows_free(rows);
    database_disconnect(database); /* an error left the transaction open */
    return result;
}

enum result database_copy(struct database *database, const char *sql, const char *bytes, size_t size, struct err *err)
{
    struct rows *rows;
    enum result result;
    PGresult *got;

    got = PQexec(database->connection, sql);
    if (PQresultStatus(got) != PGRES_COPY_IN)
        return take_result(database, got, &rows, err);
    PQclear(got);
    PQputCopyData(database->connection, bytes, (int)size);
    PQputCopyEnd(database->connection, NULL);
    result = take_result(database, await_result(database, STOP_CANCELS), &rows, err);
    rows_free(rows);
    return result;
}

/* ---- rows ---- */

size_t rows_count(const struct rows *rows)
{
    return (size_t)PQntuples((const PGresult *)rows);
}

const char *rows_text(const struct rows *rows, size_t row, int column)
{
    const PGresult *result = (const PGresult *)rows;

    return PQgetisnull(result, (int)row, column) ? NULL : PQgetvalue(result, (int)row, column);
}

void rows_free(struct rows *rows)
{
    PQclear((PGresult *)rows);
}

/* ---- notifications ---- */

int database_descriptor(const struct database *database)
{
    return database->connection != NULL ? PQsocket(database->connection) : -1;
}

bool database_take_notifications(struct database *database)
{
    PGnotify *notice;
    bool found = false;

    if (!PQconsumeInput(database->connection) || PQstatus(database->connection) != CONNECTION_OK) {
        database_disconnect(database);
        return false;
    }
    while ((notice = PQnotifies(database->connection)) != NULL) {
        PQfreemem(notice);
        found = true;
    }
    return found;
}
