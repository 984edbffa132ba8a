/*
 * SPDX-License-Identifier: ISC
 *
 * Whole reads and writes: what read(2), write(2) and fsync(2) leave to a loop. The functions that return a bool or a
 * ssize_t are thin wrappers of system calls, and set errno.
 */
#ifndef CANDHOOK_IO_H
#define CANDHOOK_IO_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reads from FD until its end, or until ROOM bytes are read. An interruption by a signal does not end it. Returns the
 * number of bytes, or -1 with errno.
 */
MUST_CHECK ssize_t io_read_all(int fd, void *bytes, size_t room);

/* Writes LENGTH bytes to FD. An interruption by a signal does not end it. Returns false with errno on an error. */
MUST_CHECK bool io_write_all(int fd, const void *bytes, size_t length);

/*
 * Reads the whole file PATH, or stdin when PATH is "-". *TEXT is allocated, has LENGTH bytes, and a NUL behind them.
 * RESULT_FAIL when it cannot be read or has more than MAX bytes.
 */
MUST_CHECK enum result io_read_file(const char *path, size_t max, char **text, size_t *length, struct err *err);

/* As open(2), by the opener that is set: at first open(2) itself. A process that may open nothing has it done
 * elsewhere. */
MUST_CHECK int io_open(const char *path, int flags, mode_t mode);
void io_set_opener(int (*opener)(const char *path, int flags, mode_t mode));

/*
 * Syncs the folder that PATH lies in: after that the entry PATH itself survives a power cut. Returns false with errno
 * on an error.
 */
MUST_CHECK bool io_sync_parent(const char *path);

#endif
