/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers that run outside the database, kinds c, exec and http: many attempts at once, in one process and one loop.
 * It leases batches, begins their attempts as each handler's concurrency allows, and records what came of them.
 */
#ifndef CANDHOOK_OUTSIDE_H
#define CANDHOOK_OUTSIDE_H

#include <poll.h>
#include <stddef.h>

#include "conf.h"
#include "err.h"
#include "store.h"

struct outside;

/* WORKER is the name that leases are taken in. All is borrowed. */
struct outside *outside_new(const struct conf *conf, struct store *store, const char *worker);
void outside_free(struct outside *outside); /* breaks off what runs */

/*
 * Goes on with all that can go on now, without waiting: ends and records attempts, renews leases, leases more, begins
 * attempts. *WORK is whether anything runs or waits here. After an error, the same again once the database is back:
 * nothing that ran is forgotten.
 */
MUST_CHECK enum result outside_step(struct outside *outside, int *work, struct err *err);

/* Waits until outside_step has something to do, one of FDS can be read, or TIMEOUT_MS (-1: no limit). */
void outside_wait(struct outside *outside, struct pollfd *fds, size_t count, int timeout_ms);

/* Something may be due that was not known of: the next step looks. */
void outside_look(struct outside *outside);

/* We were told to end: nothing more is begun, what waits is given back, what runs has some seconds more. */
void outside_wind_up(struct outside *outside);

#endif
