/*
 * SPDX-License-Identifier: ISC
 *
 * One segment's file, opened for reading: where to begin, and where to go on behind damaged bytes. It is opened
 * read-write because a lock needs a writable descriptor; nothing here writes.
 */
#include <config.h>

#include "spool/spool_file.h"

#include "base/memory.h"
#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BLOCK 4096u
#define SCAN_BYTES (256u << 10) /* read at once while searching for a record */

/* Reads up to the end of the block that OFFSET lies in, so that readable blocks are read however many bad ones follow.
 */
static ssize_t read_block_or_zeros(int fd, void *to, size_t length, uint64_t offset)
{
    size_t block = DISK_BLOCK - offset % DISK_BLOCK, want = length < block ? length : block;

    if (pread(fd, to, want, (off_t)offset) != (ssize_t)want)
        memset(to, 0, want);
    return (ssize_t)want;
}

ssize_t spool_file_read(int fd, void *to, size_t length, uint64_t offset)
{
    ssize_t got;

    do
        got = pread(fd, to, length, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 && errno == EIO ? read_block_or_zeros(fd, to, length, offset) : got;
}

bool spool_file_update_size(struct spool_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return false;
    }
    file->size = (uint64_t)st.st_size;
    return true;
}

/* Whether reading can go on at OFFSET: a record begins there, or nothing was written there yet. */
static bool can_read_from(const struct spool_file *file, uint64_t offset)
{
    static const uint8_t unwritten[SEGMENT_RECORD_HEADER_BYTES];
    uint8_t header[SEGMENT_RECORD_HEADER_BYTES];
    struct segment_record record;
    ssize_t got;
    size_t size;

    if (offset >= file->size)
        return offset == file->size;
    got = spool_file_read(file->fd, header, sizeof header, offset);
    return got > 0 && (memcmp(header, unwritten, (size_t)got) == 0 ||
                       segment_get_record(header, (size_t)got, file->id, &record, &size) != SEGMENT_BAD);
}

static void set_first_offset(struct spool_file *file, uint64_t offset)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    ssize_t got = spool_file_read(file->fd, header, sizeof header, 0);

    file->move_whole = got < 0 || !segment_has_header(header, (size_t)got, file->id);
    file->offset = file->move_whole ? 0 : SEGMENT_HEADER_BYTES;
    if (offset > SEGMENT_HEADER_BYTES && can_read_from(file, offset))
        file->offset = offset;
}

bool spool_file_open(struct spool_file *file, int folder, uint64_t offset)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(file->id, ".seg", name);
    file->fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0)
        return false;
    if (!spool_file_update_size(file)) {
        int reason = errno;

        close(file->fd);
        file->fd = -1;
        errno = reason;
        return false;
    }
    set_first_offset(file, offset);
    return true;
}

/* Whether a record begins at OFFSET; its first LENGTH bytes are at BYTES. */
static bool is_record_at(const struct spool_file *file, uint64_t offset, const uint8_t *bytes, size_t length)
{
    struct segment_record record;
    size_t size, have = 0;
    enum segment_found found = segment_get_record(bytes, length, file->id, &record, &size);
    uint8_t *whole;
    ssize_t got;

    if (found != SEGMENT_SHORT)
        return found == SEGMENT_GOOD;
    if (size > file->size - offset)
        return false;
    whole = memory_new(size, 1);
    while (have < size && (got = spool_file_read(file->fd, whole + have, size - have, offset + have)) > 0)
        have += (size_t)got;
    found = segment_get_record(whole, have, file->id, &record, &size);
    free(whole);
    return found == SEGMENT_GOOD;
}

uint64_t spool_file_next_record(const struct spool_file *file, uint64_t from)
{
    uint8_t *bytes = memory_new(SCAN_BYTES, 1);
    uint64_t at = from + 1, found = file->size;
    ssize_t got;

    while (at < file->size && (got = spool_file_read(file->fd, bytes, SCAN_BYTES, at)) > 0) {
        size_t length = (size_t)got, i = segment_find_magic(bytes, length, 0);

        while (length - i >= SEGMENT_RECORD_HEADER_BYTES && !is_record_at(file, at + i, bytes + i, length - i))
            i = segment_find_magic(bytes, length, i + 1);
        if (length - i >= SEGMENT_RECORD_HEADER_BYTES) {
            found = at + i;
            break;
        }
        at += i > 0 ? i : 1;
    }
    free(bytes);
    return found;
}
