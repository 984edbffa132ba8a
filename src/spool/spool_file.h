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
    int fd;                   /* -1: not opened yet */
    bool started;             /* spool_file_find_start has set the offset */
    bool dead;                /* its writer is gone: we hold its lock */
    bool sealed;              /* its seal was read */
    bool ended;               /* dead, and read to its end */
    bool gone;                /* removed, to be dropped from the list */
    bool move_whole;          /* goes to `damaged` as it is */
    bool given_up;            /* what the disk cannot read is damage from now on */
    int64_t unreadable_since; /* monotonic ms; 0: the disk can read it */
    uint64_t size;            /* bytes, at the last spool_file_update_size */
    uint64_t recorded;        /* offset up to which the database has it */
    uint64_t offset;          /* of the next byte to read: behind the batch */
    uint64_t batch;           /* number of the last batch that visited it */
};

/* Opens the file, of which the database has what is before the offset RECORDED. Returns false with errno. */
MUST_CHECK bool spool_file_open(struct spool_file *file, int folder, uint64_t recorded);

/*
 * Sets `offset` to where reading begins: to `recorded`, or to the first record when no record begins there: to record
 * events twice does no harm. A file with a bad header is read from its first byte, which is no record. Returns false
 * with errno when the disk cannot read what this needs.
 */
MUST_CHECK bool spool_file_find_start(struct spool_file *file);

/* Asks for the file's present size. Returns false with errno. */
MUST_CHECK bool spool_file_update_size(struct spool_file *file);

/*
 * As pread(2), not interrupted by signals. Once the file is given up, bytes that the disk cannot read (EIO) are given
 * as zeros, which no checksum takes for a record. Returns -1 with errno.
 */
MUST_CHECK ssize_t spool_file_read(const struct spool_file *file, void *to, size_t length, uint64_t offset);

/* Sets *NEXT to the offset of the first record after FROM, or to the file's size. Returns false with errno. */
MUST_CHECK bool spool_file_next_record(const struct spool_file *file, uint64_t from, uint64_t *next);

/* Sets *ZEROS to the offset, FROM or later, behind which the file has only zeros. Returns false with errno. */
MUST_CHECK bool spool_file_find_zeros(const struct spool_file *file, uint64_t from, uint64_t *zeros);

#endif
