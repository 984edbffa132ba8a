/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers that run outside the database, kinds c, exec and http: many attempts at once, in one process and one loop.
 * It leases batches, begins their attempts as each handler's concurrency allows, and records what came of them.
 */
#ifndef CANDHOOK_DISPATCH_H
#define CANDHOOK_DISPATCH_H

#include "base/err.h"
#include "conf/conf.h"
#include "store/store.h"

#include <poll.h>
#include <stddef.h>

struct dispatch;

/* WORKER is the name that leases are taken in. All is borrowed. */
struct dispatch *dispatch_new(const struct conf *conf, struct store *store, const char *worker);
void dispatch_free(struct dispatch *dispatch); /* breaks off what runs */

/*
 * Goes on with all that can go on now, without waiting: ends and records attempts, renews leases, leases more, begins
 * attempts. *WORK is whether anything runs or waits here. After an error, the same again once the database is back:
 * nothing that ran is forgotten.
 */
MUST_CHECK enum result dispatch_step(struct dispatch *dispatch, int *work, struct err *err);

/* Waits until dispatch_step has something to do, one of FDS can be read, or TIMEOUT_MS (-1: no limit). */
void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms);

/* Something may be due that was not known of: the next step looks. */
void dispatch_claim_now(struct dispatch *dispatch);

/* We were told to end: nothing more is begun, what waits is given back, what runs has some seconds more. */
void dispatch_stop(struct dispatch *dispatch);

#endif
