/*
 * SPDX-License-Identifier: ISC
 *
 * A connection to PostgreSQL. The only module that knows libpq; what is said over it is store.h's business. A function
 * that fails says RESULT_RETRY (the connection, a lock, a shutdown: may pass by itself) or RESULT_FAIL, and a lost
 * connection is closed by then.
 */
#ifndef CANDHOOK_DATABASE_H
#define CANDHOOK_DATABASE_H

#include "base/err.h"
#include "store/sql_params.h"

#include <stddef.h>

struct database;

/* Unconnected. CONNINFO is borrowed for its life. */
struct database *database_new(const char *conninfo);
void database_free(struct database *database);

/* To be called while there is no connection. No description quotes a conninfo that cannot be read. */
MUST_CHECK enum result database_connect(struct database *database, struct err *err);
void database_disconnect(struct database *database);
int database_is_connected(const struct database *database);

/* In a child made by fork: lets go of the parent's connection without a word to the server. */
void database_abandon(struct database *database);

/* What a statement gave. Texts live until rows_free; NULL is null. */
struct rows;
size_t rows_count(const struct rows *rows);
const char *rows_text(const struct rows *rows, size_t row, int column);
void rows_free(struct rows *rows);

/*
 * Sends SQL, a constant, with the parameters of CALL, which are freed in any case. When RESULT_OK, the next thing that
 * is done with the connection must be database_receive.
 */
MUST_CHECK enum result database_send(struct database *database, const char *sql, struct sql_params *params,
                                     struct err *err);

/*
 * Waits for what came of it. *ROWS is the caller's when RESULT_OK. Signals are let in; when we are told to end, a
 * statement is cancelled that is not done 10 s later.
 */
MUST_CHECK enum result database_receive(struct database *database, struct rows **rows, struct err *err);

/* Both. */
MUST_CHECK enum result database_call(struct database *database, const char *sql, struct sql_params *params,
                                     struct rows **rows, struct err *err);

/* The same for statements whose rows do not matter. */
MUST_CHECK enum result database_run(struct database *database, const char *sql, struct sql_params *params,
                                    struct err *err);

/* Runs a whole script, NOTICE getting each notice's text, and disconnects. */
MUST_CHECK enum result database_script(struct database *database, const char *sql, void (*notice)(const char *text),
                                       struct err *err);

/* Runs a COPY FROM STDIN and sends BYTES as its data. */
MUST_CHECK enum result database_copy(struct database *database, const char *sql, const char *bytes, size_t size,
                                     struct err *err);

/* The descriptor that can be read when a notification comes, or the connection is lost; -1 without a connection. */
int database_descriptor(const struct database *database);

/* Takes the notifications that came. Returns whether there were any. A lost connection is closed. */
int database_take_notifications(struct database *database);

#endif
