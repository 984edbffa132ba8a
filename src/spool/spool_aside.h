/*
 * SPDX-License-Identifier: ISC
 *
 * What the reader of the spool puts aside: recorded segments that are kept for a time (`kept`) and what bit rot left
 * (`damaged`). Both are folders in the spool.
 */
#ifndef CANDHOOK_SPOOL_ASIDE_H
#define CANDHOOK_SPOOL_ASIDE_H

#include "base/uuid.h"

#include <stdint.h>

#define SPOOL_KEPT "kept"
#define SPOOL_DAMAGED "damaged"

/* Copies a stretch of SEGMENT, open as FD, into `damaged`, synced. Returns 0, or -1 with errno. */
int spool_aside_copy(int folder, int fd, const uint8_t segment[UUID_BYTES], uint64_t offset, uint64_t length);

/* Moves the whole segment, open as FD, into the folder WHERE; its time is set to now. Returns 0, or -1 with errno. */
int spool_aside_move(int folder, int fd, const uint8_t segment[UUID_BYTES], const char *where);

/* Removes what has been in `kept` for SECONDS or longer. */
void spool_aside_expire(int folder, unsigned seconds);

/* Removes <uuid>.new files that no writer holds: their writer died at birth, more than a minute ago. */
void spool_aside_unborn(int folder, const char *name);

#endif
