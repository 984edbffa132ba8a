/*
 * SPDX-License-Identifier: ISC
 *
 * A connection to PostgreSQL. The only module that knows libpq; store.h defines what is sent over it. A function that
 * fails returns RESULT_RETRY (connection lost, lock, shutdown, resources: may work later) or RESULT_FAIL. A connection
 * that turns out to be lost is closed before the function returns.
 */
#ifndef CANDHOOK_DATABASE_H
#define CANDHOOK_DATABASE_H

#include "base/err.h"
#include "store/sql_params.h"

#include <stdbool.h>
#include <stddef.h>

struct database;

/* Makes an unconnected one. CONNINFO is borrowed for its life. */
struct database *database_new(const char *conninfo);
void database_free(struct database *database);

/* Connects; there must be no connection. A conninfo that cannot be parsed is not quoted in ERR: it may be a password.
 */
MUST_CHECK enum result database_connect(struct database *database, struct err *err);
void database_disconnect(struct database *database);
bool database_is_connected(const struct database *database);

/* For a child made by fork: closes its copy of the parent's connection and sends nothing to the server. */
void database_abandon(struct database *database);

/* The rows that a statement returned. Texts live until rows_free; SQL's null is NULL. NULL, which a failure leaves, has
 * no rows. */
struct rows;
size_t rows_count(const struct rows *rows);
const char *rows_text(const struct rows *rows, size_t row, int column);
void rows_free(struct rows *rows);

/*
 * Sends SQL, a constant, with PARAMS, which are freed in any case. Without parameters it may be several statements.
 * After RESULT_OK, the next call on this connection must be database_receive.
 */
MUST_CHECK enum result database_send(struct database *database, const char *sql, struct sql_params *params,
                                     struct err *err);

/*
 * Waits for the answer to what was sent. The caller frees *ROWS, whatever the result. Signals are let in. Once the
 * program was told to end, a statement that is not done within 10 s is cancelled, and 5 s later the connection is
 * closed.
 */
MUST_CHECK enum result database_receive(struct database *database, struct rows **rows, struct err *err);

/*
 * Like database_receive, for a statement after which something else is removed. RESULT_OK: its commit is durable, on a
 * synchronous standby, too. A commit with a warning is RESULT_RETRY, since the standby may lack it. The statement is
 * never cancelled: 10 s after the program was told to end, the connection is closed, and the server goes on waiting.
 */
MUST_CHECK enum result database_receive_durable(struct database *database, struct rows **rows, struct err *err);

/* Sends and receives. */
MUST_CHECK enum result database_call(struct database *database, const char *sql, struct sql_params *params,
                                     struct rows **rows, struct err *err);

/* Like database_call, for a statement whose rows do not matter. */
MUST_CHECK enum result database_run(struct database *database, const char *sql, struct sql_params *params,
                                    struct err *err);

/* Like database_receive and database_call, for a statement that returns one whole number. */
MUST_CHECK enum result database_receive_number(struct database *database, int64_t *number, struct err *err);
MUST_CHECK enum result database_number(struct database *database, const char *sql, struct sql_params *params,
                                       int64_t *number, struct err *err);

/*
 * Returns what the statement that was sent last has said by a message of level INFO with the SQLSTATE
 * DATABASE_ANNOUNCED, "" when nothing: its last word, also when it failed or its server process ended.
 */
#define DATABASE_ANNOUNCED "CH001"
const char *database_announced(const struct database *database);

/* Runs a whole script and disconnects. NOTICE is called with the text of each notice. */
MUST_CHECK enum result database_script(struct database *database, const char *sql, void (*notice)(const char *text),
                                       struct err *err);

/* Runs a COPY FROM STDIN with BYTES as its data. */
MUST_CHECK enum result database_copy(struct database *database, const char *sql, const char *bytes, size_t size,
                                     struct err *err);

/*
 * Without waiting: database_connect_begin, then database_connect_step until *CONNECTED; then for each statement
 * database_send, database_answered until it returns true, and database_receive, which does not wait then. Nothing else
 * may be called on such a connection but the functions for notifications. Only the names of hosts are looked up with a
 * wait. To be called again after each of the events of poll(2) that database_poll_events returns.
 */
MUST_CHECK enum result database_connect_begin(struct database *database, struct err *err);
MUST_CHECK enum result database_connect_step(struct database *database, bool *connected, struct err *err);

/* Returns whether the answer to what was sent has come, or will not come any more. */
bool database_answered(struct database *database);
short database_poll_events(const struct database *database);

/* Returns the descriptor that is readable when a notification came or the connection is lost; -1 without a connection.
 */
int database_descriptor(const struct database *database);

/* Discards the notifications that came. Returns whether there were any. */
bool database_take_notifications(struct database *database);

#endif
