/*
 * SPDX-License-Identifier: ISC
 *
 * One segment's file as the reader of the spool sees it.
 */
#ifndef CANDHOOK_SPOOL_FILE_H
#define CANDHOOK_SPOOL_FILE_H

#include "base/uuid.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool_file {
    uint8_t id[UUID_BYTES];
    int fd;         /* -1: not opened yet */
    int dead;       /* we hold its lock */
    int sealed;     /* the seal was read */
    int ended;      /* dead, and read to its end */
    int gone;       /* removed, to be dropped from the list */
    int keep_whole; /* goes to `damaged` as it is */
    uint64_t size;  /* when last looked at */
    uint64_t read;  /* how far it is read: behind the batch */
    uint64_t turn;  /* the batch that last visited it */
};

/*
 * Opens the file and goes to POSITION, or to the first record when POSITION points into nowhere: recording twice does
 * no harm. One with a bad header is read from its first byte, which is no record. Returns 0, or -1 with errno.
 */
int spool_file_open(struct spool_file *file, int folder, uint64_t position);

/* Looks how large it is now. Returns 0, or -1 with errno. */
int spool_file_look(struct spool_file *file);

/*
 * pread that gives something or the end: signals are waited out, and what the disk cannot read comes as zeros, which no
 * checksum takes for a record. Returns -1 with errno on any other error.
 */
ssize_t spool_file_read(int fd, void *to, size_t length, uint64_t offset);

/* Where behind FROM the next record begins; the file's size when there is none. */
uint64_t spool_file_next_record(const struct spool_file *file, uint64_t from);

/* Whether a zero, or nothing, is at OFFSET: where a writer made room ready, but wrote no record. */
int spool_file_is_unwritten(const struct spool_file *file, uint64_t offset);

#endif
