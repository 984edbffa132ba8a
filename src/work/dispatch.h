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
#include "store/store.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct dispatch;

/* WORKER is the name under which deliveries are claimed. Everything is borrowed. */
struct dispatch *dispatch_new(const struct conf *conf, struct store *store, const char *worker);

/* Kills what runs and frees. */
void dispatch_free(struct dispatch *dispatch);

/*
 * Does what can be done without waiting: ends and records attempts, renews leases, claims, starts attempts. *WORK is
 * whether attempts run or wait. After an error it is called again once the database is back: no outcome is lost.
 */
MUST_CHECK enum result dispatch_step(struct dispatch *dispatch, bool *work, struct err *err);

/* Waits until dispatch_step has something to do, one of FDS is readable, or TIMEOUT_MS (-1: no limit) have passed. */
void dispatch_wait(struct dispatch *dispatch, struct pollfd *fds, size_t count, int timeout_ms);

/* Makes the next step claim: something may have become due. */
void dispatch_claim_now(struct dispatch *dispatch);

/* Starts no more attempts and gives back those that wait. Those that run may go on for 10 s. */
void dispatch_stop(struct dispatch *dispatch);

#endif
