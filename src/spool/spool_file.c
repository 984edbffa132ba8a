/*
 * SPDX-License-Identifier: ISC
 *
 * One segment's file, opened for reading: where to begin, and where to go on behind damaged bytes. It is opened
 * read-write because a lock needs a writable descriptor; nothing here writes. What must stay true: bytes that cannot be
 * read are an error, never data, until the reader gives them up.
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

ssize_t spool_file_read(const struct spool_file *file, void *to, size_t length, uint64_t offset)
{
    ssize_t got;

    do
        got = pread(file->fd, to, length, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 && errno == EIO && file->given_up ? read_block_or_zeros(file->fd, to, length, offset) : got;
}

bool spool_file_update_size(struct spool_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return false;
    }
    file->size = (uint64_t)st.st_size;
    return true;
}

/* Whether reading can go on at OFFSET: a record begins there, or nothing was written there yet. Returns false with
 * errno when it cannot be read. */
static bool try_offset(const struct spool_file *file, uint64_t offset, bool *good)
{
    static const uint8_t unwritten[SEGMENT_RECORD_HEADER_BYTES];
    uint8_t header[SEGMENT_RECORD_HEADER_BYTES];
    struct segment_record record;
    ssize_t got;
    size_t size;

    *good = offset == file->size;
    if (offset >= file->size)
        return true;
    got = spool_file_read(file, header, sizeof header, offset);
    *good = got > 0 && (memcmp(header, unwritten, (size_t)got) == 0 ||
                        segment_get_record(header, (size_t)got, file->id, &record, &size) != SEGMENT_BAD);
    return got >= 0;
}

bool spool_file_find_start(struct spool_file *file)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    ssize_t got = spool_file_read(file, header, sizeof header, 0);
    bool good = false;

    if (got < 0 || (file->recorded > SEGMENT_HEADER_BYTES && !try_offset(file, file->recorded, &good)))
        return false;
    file->move_whole |= !segment_has_header(header, (size_t)got, file->id);
    file->offset = file->move_whole && !file->given_up ? 0 : SEGMENT_HEADER_BYTES;
    if (good)
        file->offset = file->recorded;
    file->started = true;
    return true;
}

bool spool_file_open(struct spool_file *file, int folder, uint64_t recorded)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(file->id, ".seg", name);
    file->fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0)
        return false;
    if (!spool_file_update_size(file)) {
        close(file->fd);
        file->fd = -1;
        errno = EINVAL;
        return false;
    }
    file->recorded = recorded;
    return true;
}

/* Whether a record begins at OFFSET; its first LENGTH bytes are at BYTES. Returns false with errno when it cannot be
 * read. */
static bool try_record(const struct spool_file *file, uint64_t offset, const uint8_t *bytes, size_t length, bool *good)
{
    struct segment_record record;
    size_t size, have = 0;
    enum segment_found found = segment_get_record(bytes, length, file->id, &record, &size);
    uint8_t *whole;
    ssize_t got = 0;

    *good = found == SEGMENT_GOOD;
    if (found != SEGMENT_SHORT || size > file->size - offset)
        return true;
    whole = memory_new(size, 1);
    while (have < size && (got = spool_file_read(file, whole + have, size - have, offset + have)) > 0)
        have += (size_t)got;
    *good = segment_get_record(whole, have, file->id, &record, &size) == SEGMENT_GOOD;
    free(whole);
    return got >= 0;
}

/*
 * Looks for a record that begins in the LENGTH bytes at AT. *FOUND is its offset; when there is none, *NEXT is where to
 * look on. Returns false with errno when something cannot be read.
 */
static bool scan_bytes(const struct spool_file *file, uint64_t at, const uint8_t *bytes, size_t length, uint64_t *next,
                       bool *found)
{
    size_t i = segment_find_magic(bytes, length, 0);

    *found = false;
    while (length - i >= SEGMENT_RECORD_HEADER_BYTES) {
        if (!try_record(file, at + i, bytes + i, length - i, found))
            return false;
        if (*found)
            break;
        i = segment_find_magic(bytes, length, i + 1);
    }
    *next = at + (i > 0 || *found ? i : 1);
    return true;
}

bool spool_file_next_record(const struct spool_file *file, uint64_t from, uint64_t *next)
{
    uint8_t *bytes = memory_new(SCAN_BYTES, 1);
    uint64_t at = from + 1;
    bool found = false, readable = true;

    while (readable && !found && at < file->size) {
        ssize_t got = spool_file_read(file, bytes, SCAN_BYTES, at);

        readable = got >= 0 && scan_bytes(file, at, bytes, (size_t)got, &at, &found);
        if (got == 0)
            break;
    }
    *next = found ? at : file->size;
    free(bytes);
    return readable;
}

bool spool_file_find_zeros(const struct spool_file *file, uint64_t from, uint64_t *zeros)
{
    uint8_t *bytes = memory_new(SCAN_BYTES, 1);
    uint64_t at = from;
    ssize_t got = 0;

    *zeros = from;
    while (at < file->size && (got = spool_file_read(file, bytes, SCAN_BYTES, at)) > 0) {
        for (size_t i = (size_t)got; i > 0; i--)
            if (bytes[i - 1] != 0) {
                *zeros = at + i;
                break;
            }
        at += (uint64_t)got;
    }
    free(bytes);
    return got >= 0;
}
