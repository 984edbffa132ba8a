/*
 * SPDX-License-Identifier: ISC
 *
 * One segment's file as the reading side sees it. The functions that return bool or ssize_t are thin wrappers of system
 * calls, and set errno.
 */
#ifndef CANDHOOK_SPOOL_FILE_H
#define CANDHOOK_SPOOL_FILE_H

#include "base/err.h"
#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool_file {
    uint8_t id[UUID_BYTES];
    int fd;          /* -1: not opened yet */
    bool dead;       /* its writer is gone: we hold its lock */
    bool sealed;     /* its seal was read */
    bool ended;      /* dead, and read to its end */
    bool gone;       /* removed, to be dropped from the list */
    bool move_whole; /* goes to `damaged` as it is */
    uint64_t size;   /* bytes, at the last spool_file_update_size */
    uint64_t offset; /* of the next byte to read: behind the batch */
    uint64_t batch;  /* number of the last batch that visited it */
};

/*
 * Opens the file and sets `offset` to OFFSET, or to the first record when no record begins at OFFSET: to record events
 * twice does no harm. A file with a bad header is read from its first byte, which is no record. Returns false with
 * errno when it cannot be opened.
 */
MUST_CHECK bool spool_file_open(struct spool_file *file, int folder, uint64_t offset);

/* Asks for the file's present size. Returns false with errno. */
MUST_CHECK bool spool_file_update_size(struct spool_file *file);

/*
 * As pread(2), with two differences: it is not interrupted by signals, and bytes that the disk cannot read (EIO) are
 * given as zeros, which no checksum takes for a record. Returns -1 with errno on any other error.
 */
MUST_CHECK ssize_t spool_file_read(int fd, void *to, size_t length, uint64_t offset);

/* Returns the offset of the first record after FROM; the file's size when there is none. */
uint64_t spool_file_next_record(const struct spool_file *file, uint64_t from);

#endif
