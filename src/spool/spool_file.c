/*
 * SPDX-License-Identifier: ISC
 *
 * One segment's file, opened for reading: where to begin, and where to go on behind a bad stretch. It is opened for
 * writing too, since only so may it be locked, but nothing here writes.
 */
#include <config.h>

#include "spool/spool_file.h"

#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define CHUNK (256u << 10)

ssize_t spool_file_read(int fd, void *to, size_t length, uint64_t offset)
{
    ssize_t got;

    do
        got = pread(fd, to, length, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EIO) {
        size_t block = BLOCK - offset % BLOCK;

        /* A block at a time, so that the readable blocks around it are read. */
        got = (ssize_t)(length < block ? length : block);
        if (pread(fd, to, (size_t)got, (off_t)offset) != got)
            memset(to, 0, (size_t)got);
    }
    return got;
}

int spool_file_look(struct spool_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    file->size = (uint64_t)st.st_size;
    return 0;
}

/* Whether reading can go on at POSITION: a record begins there, or nothing was written there yet. */
static int position_fits(const struct spool_file *file, uint64_t position)
{
    static const uint8_t zeros[SEGMENT_HEAD_BYTES];
    uint8_t head[SEGMENT_HEAD_BYTES];
    struct segment_record record;
    ssize_t got;
    size_t size;

    if (position >= file->size)
        return position == file->size;
    got = spool_file_read(file->fd, head, sizeof head, position);
    return got > 0 && (memcmp(head, zeros, (size_t)got) == 0 ||
                       segment_get_record(head, (size_t)got, file->id, &record, &size) != SEGMENT_BAD);
}

/* A file with a bad header is kept as it is, whatever can be read of it. */
static void seek(struct spool_file *file, uint64_t position)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    ssize_t got = spool_file_read(file->fd, header, sizeof header, 0);

    file->keep_whole = got < 0 || !segment_has_header(header, (size_t)got, file->id);
    file->read = file->keep_whole ? 0 : SEGMENT_HEADER_BYTES;
    if (position > SEGMENT_HEADER_BYTES && position_fits(file, position))
        file->read = position;
}

int spool_file_open(struct spool_file *file, int folder, uint64_t position)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(file->id, ".seg", name);
    file->fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0)
        return -1;
    if (spool_file_look(file) != 0) {
        close(file->fd);
        file->fd = -1;
        return -1;
    }
    seek(file, position);
    return 0;
}

/* Whether a record begins at OFFSET, of which the LENGTH bytes at HEAD are in memory. */
static int record_is_at(const struct spool_file *file, uint64_t offset, const uint8_t *head, size_t length)
{
    struct segment_record record;
    size_t size, have = 0;
    enum segment_found found = segment_get_record(head, length, file->id, &record, &size);
    uint8_t *whole;
    ssize_t got;

    if (found != SEGMENT_SHORT)
        return found == SEGMENT_GOOD;
    if (size > file->size - offset)
        return 0;
    whole = malloc(size);
    if (!whole)
        abort();
    while (have < size && (got = spool_file_read(file->fd, whole + have, size - have, offset + have)) > 0)
        have += (size_t)got;
    found = segment_get_record(whole, have, file->id, &record, &size);
    free(whole);
    return found == SEGMENT_GOOD;
}

uint64_t spool_file_next_record(const struct spool_file *file, uint64_t from)
{
    uint8_t *bytes = malloc(CHUNK);
    uint64_t at = from + 1, found = file->size;
    ssize_t got;

    if (!bytes)
        abort();
    while (at < file->size && (got = spool_file_read(file->fd, bytes, CHUNK, at)) > 0) {
        size_t length = (size_t)got, i = segment_find_magic(bytes, length, 0);

        while (length - i >= SEGMENT_HEAD_BYTES && !record_is_at(file, at + i, bytes + i, length - i))
            i = segment_find_magic(bytes, length, i + 1);
        if (length - i >= SEGMENT_HEAD_BYTES) {
            found = at + i;
            break;
        }
        at += i > 0 ? i : 1;
    }
    free(bytes);
    return found;
}

int spool_file_is_unwritten(const struct spool_file *file, uint64_t offset)
{
    uint8_t byte = 0;

    return spool_file_read(file->fd, &byte, 1, offset) <= 0 || byte == 0;
}
