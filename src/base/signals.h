/*
 * SPDX-License-Identifier: ISC
 *
 * How our long-running programs are told to end. The signals are blocked but while signals_poll waits, so that a read,
 * a write or a sync is never interrupted half-way, and a stop is seen between two pieces of work.
 */
#ifndef CANDHOOK_SIGNALS_H
#define CANDHOOK_SIGNALS_H

#include <poll.h>

/* Blocks TERM, INT, HUP, USR1 and CHLD, and makes the first four mean: end in good order. PIPE and XFSZ are ignored. */
void signals_catch(void);

/* Undoes signals_catch in a child that is about to run somebody else's code: all defaults, nothing blocked. */
void signals_reset(void);

/*
 * Like poll(2), but the caught signals are let in while it waits: returns -1 with EINTR when one came. A descriptor
 * that is ready comes first, and the signal stays pending then. TIMEOUT_MS -1: no limit.
 */
int signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

/* Whether the program was told to end. */
int signals_stop_asked(void);

#endif
