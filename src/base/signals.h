/*
 * SPDX-License-Identifier: ISC
 *
 * How our long-running programs are told to end. The signals are blocked except while signals_poll waits, so that no
 * read, write or sync is interrupted half-way, and a program sees a stop between two pieces of work.
 */
#ifndef CANDHOOK_SIGNALS_H
#define CANDHOOK_SIGNALS_H

#include <poll.h>
#include <stdbool.h>

/*
 * Blocks TERM, INT, HUP, USR1 and CHLD. The first four mean from now on: finish what is begun, and end. PIPE and XFSZ
 * are ignored.
 */
void signals_catch(void);

/* Undoes signals_catch in a child that is about to run somebody else's code: all defaults, nothing blocked. */
void signals_reset(void);

/*
 * Like poll(2), but the blocked signals can arrive while it waits: it returns -1 with EINTR when one did. When a
 * descriptor is ready at once, it returns that, and the signal stays pending. TIMEOUT_MS -1: no limit.
 */
int signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

/* Returns whether the program was told to end. */
bool signals_stop_asked(void);

#endif
