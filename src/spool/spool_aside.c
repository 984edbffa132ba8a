/*
 * SPDX-License-Identifier: ISC
 *
 * Beside the spool's segments: `kept`, `damaged`, and files that writers left when they died while creating a segment.
 */
#include <config.h>

#include "spool/spool_aside.h"

#include "base/io.h"
#include "base/lock.h"
#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COPY_BYTES 4096u
#define UNBORN_SECONDS 60

static int open_subfolder(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a folder of the spool, and makes it first when it is not there. Returns -1 with errno. */
static int make_subfolder(int folder, const char *name)
{
    if (mkdirat(folder, name, 0700) == 0)
        fsync(folder);
    else if (errno != EEXIST)
        return -1;
    return open_subfolder(folder, name);
}

DIR *spool_aside_list(int folder, const char *name)
{
    int fd = open_subfolder(folder, name);

    return fd < 0 ? NULL : fdopendir(fd);
}

/* Stops early when the file became shorter. */
static bool copy_bytes(const struct spool_file *from, int to, uint64_t length)
{
    uint64_t offset = from->offset;
    uint8_t bytes[COPY_BYTES];
    ssize_t got = 0;

    while (length > 0 && (got = spool_file_read(from, bytes, length < COPY_BYTES ? length : COPY_BYTES, offset)) > 0) {
        if (!io_write_all(to, bytes, (size_t)got))
            return false;
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return got >= 0 && fsync(to) == 0;
}

/* Makes the file NAME in the folder INTO from bytes of FROM; a copy that is not whole is removed. */
static bool copy_into_file(int into, const char *name, const struct spool_file *from, uint64_t length)
{
    int copy = openat(into, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool copied = copy >= 0 && copy_bytes(from, copy, length);

    if (copy >= 0)
        close(copy);
    if (copy >= 0 && !copied)
        unlinkat(into, name, 0);
    return copied && fsync(into) == 0;
}

bool spool_aside_copy(int folder, const struct spool_file *segment, uint64_t length, const char *suffix)
{
    int damaged = make_subfolder(folder, SPOOL_DAMAGED);
    char name[UUID_TEXT + 32], id[UUID_TEXT];
    bool copied;

    if (damaged < 0)
        return false;
    snprintf(name, sizeof name, "%s.%llu%s", uuid_text(segment->id, id), (unsigned long long)segment->offset, suffix);
    copied = copy_into_file(damaged, name, segment, length);
    close(damaged);
    return copied;
}

bool spool_aside_move(int folder, int fd, const uint8_t segment[UUID_BYTES], const char *where)
{
    int into = make_subfolder(folder, where), reason;
    char name[SEGMENT_NAME_BYTES];
    bool moved;

    if (into < 0)
        return false;
    segment_name(segment, ".seg", name);
    futimens(fd, NULL);
    moved = renameat(folder, name, into, name) == 0;
    reason = errno;
    close(into);
    errno = reason;
    return moved;
}

/* Whether the file was written at least SECONDS ago. */
static bool is_older(int folder, const char *name, unsigned seconds)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           time(NULL) - st.st_mtime >= (time_t)seconds;
}

void spool_aside_expire(int folder, unsigned seconds)
{
    DIR *dir = spool_aside_list(folder, SPOOL_KEPT);
    uint8_t segment[UUID_BYTES];
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        if (segment_parse_name(entry->d_name, ".seg", segment) && is_older(dirfd(dir), entry->d_name, seconds))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

void spool_aside_remove_unborn(int folder, const char *name)
{
    uint8_t segment[UUID_BYTES];
    int fd;

    if (!segment_parse_name(name, ".new", segment) || !is_older(folder, name, UNBORN_SECONDS))
        return;
    fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && lock_take(fd))
        unlinkat(folder, name, 0); /* a writer that is only slow finds that it cannot rename it */
    if (fd >= 0)
        close(fd);
}
