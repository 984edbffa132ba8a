/*
 * SPDX-License-Identifier: ISC
 *
 * What the files store_*.c share; nobody else includes this.
 */
#ifndef CANDHOOK_STORE_INSIDE_H
#define CANDHOOK_STORE_INSIDE_H

#include "store/database.h"
#include "store/store.h"

/* How far a connection without waiting is. */
enum store_connecting { STORE_CONNECTS, STORE_CHECKS_VERSION, STORE_LISTENS };

struct store {
    struct database *database;
    bool listens; /* store_listen was called: to be repeated after a reconnect */
    enum store_connecting connecting;
    bool record_failed; /* see store_failed_handler: what was sent, */
    char handler[256];  /* while this one ran */
};

/* Runs SQL without parameters. */
MUST_CHECK enum result store_command(struct store *store, const char *sql, struct err *err);

/* Limits each statement of the open transaction, its waits for locks included, to MILLISECONDS. */
MUST_CHECK enum result store_limit_statements(struct store *store, int milliseconds, struct err *err);

#endif
