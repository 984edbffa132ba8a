/*
 * SPDX-License-Identifier: ISC
 *
 * The folders of the spool beside its segments: `kept`, for recorded segments that stay for a time, and `damaged`, for
 * what bit rot left. And the clean-up of segments whose writer died while it created them. The functions that return
 * bool or a DIR are thin wrappers of system calls, and set errno.
 */
#ifndef CANDHOOK_SPOOL_ASIDE_H
#define CANDHOOK_SPOOL_ASIDE_H

#include "base/err.h"
#include "base/uuid.h"
#include "spool/spool_file.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#define SPOOL_KEPT "kept"
#define SPOOL_DAMAGED "damaged"

/* Opens the folder NAME in FOLDER for listing; "." is FOLDER itself. Returns NULL with errno. */
DIR *spool_aside_list(int folder, const char *name);

/* What is copied into `damaged`, as <uuid>.<offset> and this suffix. */
#define SPOOL_ROT ""
#define SPOOL_TORN ".torn" /* the end of a segment whose writer was killed */

/* Copies LENGTH bytes of SEGMENT, from its present offset on, into `damaged`, and syncs the copy. Returns false with
 * errno. */
MUST_CHECK bool spool_aside_copy(int folder, const struct spool_file *segment, uint64_t length, const char *suffix);

/* Moves the whole segment, open as FD, into the folder WHERE, and sets its time to now. Returns false with errno. */
MUST_CHECK bool spool_aside_move(int folder, int fd, const uint8_t segment[UUID_BYTES], const char *where);

/* Removes each segment from `kept` that was moved there at least SECONDS ago. */
void spool_aside_expire(int folder, unsigned seconds);

/*
 * Removes the file NAME when it is a <uuid>.new that no process has locked and that is a minute old: its writer died
 * before it could rename it, and it holds no record.
 */
void spool_aside_remove_unborn(int folder, const char *name);

#endif
