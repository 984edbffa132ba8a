/*
 * SPDX-License-Identifier: ISC
 *
 * The writing side of the spool. What must stay true:
 *
 * - A segment's records count only after its birth: made and locked under <uuid>.new, header synced, renamed to
 *   <uuid>.seg, folder synced. No reader ever sees a .seg of a living writer without its lock.
 * - A record is promised only after fdatasync said so. After any error nobody knows what the disk holds (the kernel may
 *   drop the dirty pages and forget), so the segment is closed as it is and never written again.
 * - Closing the descriptor lets go of the lock, so it comes last.
 *
 * The file is written ahead with zeros, as many as it holds already, at most AHEAD: an append that does not make the
 * file longer needs no commit of the file system's journal (measured on ext4: 1.4 to 1.9 times as many syncs a second).
 */
#include <config.h>

#include "base/clock.h"
#include "base/lock.h"
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define AHEAD (256u << 10)
#define BLOCK 4096u
#define KEPT_ROOM (1u << 20) /* a larger buffer is given back after its batch */

struct spool_writer {
    int folder;
    struct spool_writer_limits limits;
    uint8_t segment[UUID_BYTES];
    int fd;         /* -1: no segment is open */
    pid_t owner;    /* who opened it: a lock does not pass to a child */
    uint64_t end;   /* of the records */
    uint64_t ahead; /* of the file: zeros from end to here */
    int64_t born_ms, used_ms;
    uint8_t *batch;
    size_t room;
};

const struct spool_writer_limits spool_writer_defaults = {
    .segment_bytes = 16u << 20, .age_ms = 60000, .idle_ms = 2000, .min_free = 64u << 20};

static uint8_t zeros[AHEAD + BLOCK];

struct spool_writer *spool_writer_new(int folder, const struct spool_writer_limits *limits)
{
    struct spool_writer *writer = calloc(1, sizeof *writer);

    if (!writer)
        abort();
    writer->folder = folder;
    writer->limits = *limits;
    writer->fd = -1;
    return writer;
}

/* Lets go of the segment as it is. To the reader it is a dead writer's. */
static void abandon(struct spool_writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = -1;
}

/* In a child made by fork the open segment is the parent's: writing there would overwrite what the parent promised. */
static int segment_is_open(struct spool_writer *writer)
{
    if (writer->fd >= 0 && writer->owner != getpid())
        abandon(writer);
    return writer->fd >= 0;
}

/* Failures do not matter: a segment without a seal, or with zeros at its end, is read just as well. */
static void seal(struct spool_writer *writer)
{
    const struct segment_record record = {.flag = SEGMENT_SEAL};
    uint8_t bytes[SEGMENT_HEAD_BYTES];
    ssize_t size = (ssize_t)segment_put_record(bytes, writer->segment, &record);

    if (pwrite(writer->fd, bytes, (size_t)size, (off_t)writer->end) != size ||
        ftruncate(writer->fd, (off_t)writer->end + size) != 0)
        errno = 0;
    abandon(writer);
}

/* The steps from an empty file to a segment that the reader may see. */
static int give_birth(struct spool_writer *writer, const char *born, const char *named)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    ssize_t put;

    if (!lock_take(writer->fd))
        return -1;
    segment_put_header(header, writer->segment);
    put = pwrite(writer->fd, header, sizeof header, 0);
    if (put >= 0 && put < (ssize_t)sizeof header)
        errno = ENOSPC;
    if (put != (ssize_t)sizeof header || fdatasync(writer->fd) != 0)
        return -1;
    if (renameat(writer->folder, born, writer->folder, named) != 0)
        return -1;
    return fsync(writer->folder);
}

static enum result open_segment(struct spool_writer *writer, struct err *err)
{
    char born[SEGMENT_NAME_BYTES], named[SEGMENT_NAME_BYTES];

    uuid_new(writer->segment);
    segment_name(writer->segment, ".new", born);
    segment_name(writer->segment, ".seg", named);
    writer->fd = openat(writer->folder, born, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        err_set_errno(err, "cannot make a segment in the spool");
        return RESULT_RETRY;
    }
    if (give_birth(writer, born, named) != 0) {
        err_set_errno(err, "cannot begin segment %s", named);
        unlinkat(writer->folder, born, 0); /* it holds nothing, whichever name it has */
        unlinkat(writer->folder, named, 0);
        abandon(writer);
        return RESULT_RETRY;
    }
    writer->owner = getpid();
    writer->end = writer->ahead = SEGMENT_HEADER_BYTES;
    writer->born_ms = writer->used_ms = clock_monotonic_ms();
    return RESULT_OK;
}

static enum result check_records(const struct segment_record *records, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (records[i].body_length > SEGMENT_BODY_BYTES || records[i].label_length > SEGMENT_LABEL_BYTES ||
            records[i].flag >= SEGMENT_SEAL) {
            err_set(err, "the spool takes no such record: %zu bytes with a label of %zu", records[i].body_length,
                    records[i].label_length);
            return RESULT_FAIL;
        }
    }
    return RESULT_OK;
}

static enum result check_space(const struct spool_writer *writer, uint64_t size, struct err *err)
{
    struct statvfs fs;
    uint64_t free_bytes;

    if (fstatvfs(writer->folder, &fs) != 0) {
        err_set_errno(err, "cannot see how much space is free where the spool lies");
        return RESULT_RETRY;
    }
    free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes >= writer->limits.min_free && free_bytes - writer->limits.min_free >= size)
        return RESULT_OK;
    err_set(err, "%llu MiB are free where the spool lies, and min_free keeps %llu MiB of them",
            (unsigned long long)free_bytes >> 20, (unsigned long long)writer->limits.min_free >> 20);
    return RESULT_RETRY;
}

static size_t encode(struct spool_writer *writer, const struct segment_record *records, size_t count, size_t size)
{
    size_t used = 0;

    if (size > writer->room) {
        free(writer->batch);
        writer->batch = malloc(size);
        writer->room = size;
        if (!writer->batch)
            abort();
    }
    for (size_t i = 0; i < count; i++)
        used += segment_put_record(writer->batch + used, writer->segment, &records[i]);
    return used;
}

static size_t zeros_ahead(const struct spool_writer *writer, uint64_t end)
{
    uint64_t ahead = end < AHEAD ? end : AHEAD;

    if (end <= writer->ahead)
        return 0;
    ahead += (BLOCK - (end + ahead) % BLOCK) % BLOCK; /* whole blocks */
    return (size_t)ahead;
}

/* One write of the batch (a short one, as a full disk gives, is continued once) and one sync. */
static int write_batch(struct spool_writer *writer, size_t size)
{
    uint64_t end = writer->end + size;
    struct iovec parts[2] = {{writer->batch, size}, {zeros, zeros_ahead(writer, end)}};
    ssize_t put = pwritev(writer->fd, parts, parts[1].iov_len > 0 ? 2 : 1, (off_t)writer->end);

    if (put >= 0 && (size_t)put < size) {
        ssize_t more = pwrite(writer->fd, writer->batch + put, size - (size_t)put, (off_t)writer->end + put);

        put = more < 0 ? more : put + more;
    }
    if (put < 0)
        return -1;
    if ((size_t)put < size) {
        errno = ENOSPC;
        return -1;
    }
    if (fdatasync(writer->fd) != 0)
        return -1;
    /* From here on the records are safe. */
    if (writer->end + (uint64_t)put > writer->ahead)
        writer->ahead = writer->end + (uint64_t)put;
    writer->end = end;
    return 0;
}

static enum result append(struct spool_writer *writer, const struct segment_record *records, size_t count, size_t size,
                          struct err *err)
{
    if (check_space(writer, size, err) != RESULT_OK)
        return RESULT_RETRY;
    if (!segment_is_open(writer) && open_segment(writer, err) != RESULT_OK)
        return RESULT_RETRY;
    encode(writer, records, count, size);
    if (write_batch(writer, size) != 0) {
        err_set_errno(err, "cannot write to the spool");
        abandon(writer);
        return RESULT_RETRY;
    }
    writer->used_ms = clock_monotonic_ms();
    if (writer->end >= writer->limits.segment_bytes)
        seal(writer);
    return RESULT_OK;
}

enum result spool_writer_append(struct spool_writer *writer, const struct segment_record *records, size_t count,
                                struct err *err)
{
    enum result result = check_records(records, count, err);
    size_t size = 0;

    if (result != RESULT_OK || count == 0)
        return result;
    for (size_t i = 0; i < count; i++)
        size += segment_record_bytes(&records[i]);
    spool_writer_tend(writer);
    result = append(writer, records, count, size, err);
    if (writer->room > KEPT_ROOM) {
        free(writer->batch);
        writer->batch = NULL;
        writer->room = 0;
    }
    return result;
}

int spool_writer_tend(struct spool_writer *writer)
{
    int64_t now, by_age, by_idleness, left;

    if (!segment_is_open(writer))
        return -1;
    now = clock_monotonic_ms();
    by_age = writer->born_ms + writer->limits.age_ms - now;
    by_idleness = writer->used_ms + writer->limits.idle_ms - now;
    left = by_age < by_idleness ? by_age : by_idleness;
    if (left <= 0) {
        seal(writer);
        return -1;
    }
    return left < INT_MAX ? (int)left : INT_MAX;
}

void spool_writer_free(struct spool_writer *writer)
{
    if (!writer)
        return;
    if (segment_is_open(writer))
        seal(writer);
    free(writer->batch);
    free(writer);
}
