/*
 * SPDX-License-Identifier: ISC
 *
 * The dispatcher: runs handlers of the kinds c, exec and http, many attempts at once, in one process and one loop. It
 * leases batches, starts attempts as far as each handler's concurrency limit allows, and records their outcomes.
 */
#ifndef CANDHOOK_DISPATCH_H
#define CANDHOOK_DISPATCH_H

#include "base/err.h"
#include "conf/conf.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct dispatch;

/*
 * WORKER is the name under which deliveries are claimed. Everything is borrowed. The dispatcher has a connection of its
 * own, which it makes again when it is lost.
 */
struct dispatch *dispatch_new(const struct conf *conf, const char *worker);

/* Kills what runs and frees. */
void dispatch_free(struct dispatch *dispatch);

/*
 * Does what can be done without waiting: connects, starts and ends attempts, records outcomes, renews leases, claims.
 * Returns false when nothing runs, waits, or is asked of the database. While that is away, attempts go on and their
 * outcomes are kept.
 */
bool dispatch_step(struct dispatch *dispatch);

/* Returns why there is no connection to the database, or NULL. */
const struct err *dispatch_trouble(const struct dispatch *dispatch);

/* Waits until dispatch_step has something to do, one of FDS is readable, or TIMEOUT_MS (-1: no limit) have passed. */
void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms);

/* Makes the next step claim: something may have become due. */
void dispatch_claim_now(struct dispatch *dispatch);

/* Starts no more attempts and gives back those that wait. Those that run may go on for 10 s. */
void dispatch_stop(struct dispatch *dispatch);

/* Stops, lets the attempts that run end, and records them: 20 s at most. */
void dispatch_finish(struct dispatch *dispatch);

#endif
