/*
 * SPDX-License-Identifier: ISC
 *
 * Beside the spool's segments: `kept`, `damaged`, and what writers that died at birth left behind.
 */
#include <config.h>

#include "spool/spool_aside.h"

#include "base/lock.h"
#include "spool/segment.h"
#include "spool/spool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define UNBORN_SECONDS 60

static int open_folder(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_folder(int folder, const char *name)
{
    if (mkdirat(folder, name, 0700) == 0)
        fsync(folder);
    else if (errno != EEXIST)
        return -1;
    return open_folder(folder, name);
}

static int copy_stretch(int from, int to, uint64_t offset, uint64_t length)
{
    uint8_t bytes[BLOCK];

    while (length > 0) {
        ssize_t got = spool_file_read(from, bytes, length < BLOCK ? (size_t)length : BLOCK, offset);

        if (got < 0)
            return -1;
        if (got == 0)
            break; /* the file became shorter */
        if (write(to, bytes, (size_t)got) != got) {
            errno = ENOSPC;
            return -1;
        }
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return fsync(to);
}

int spool_aside_copy(int folder, int fd, const uint8_t segment[UUID_BYTES], uint64_t offset, uint64_t length)
{
    int where = make_folder(folder, SPOOL_DAMAGED), copy = -1, failed = -1;
    char name[UUID_TEXT + 24], id[UUID_TEXT];

    if (where < 0)
        return -1;
    snprintf(name, sizeof name, "%s.%llu", uuid_text(segment, id), (unsigned long long)offset);
    copy = openat(where, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (copy >= 0)
        failed = copy_stretch(fd, copy, offset, length);
    if (copy >= 0 && failed)
        unlinkat(where, name, 0);
    if (copy >= 0)
        close(copy);
    if (!failed)
        failed = fsync(where);
    close(where);
    return failed;
}

int spool_aside_move(int folder, int fd, const uint8_t segment[UUID_BYTES], const char *where)
{
    int to = make_folder(folder, where), failed;
    char name[SEGMENT_NAME_BYTES];

    if (to < 0)
        return -1;
    segment_name(segment, ".seg", name);
    futimens(fd, NULL);
    failed = renameat(folder, name, to, name);
    close(to);
    return failed;
}

/* Whether the file was written at least SECONDS ago. */
static int is_older(int folder, const char *name, unsigned seconds)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           time(NULL) - st.st_mtime >= (time_t)seconds;
}

void spool_aside_expire(int folder, unsigned seconds)
{
    int kept = open_folder(folder, SPOOL_KEPT);
    uint8_t segment[UUID_BYTES];
    struct dirent *entry;
    DIR *dir;

    if (kept < 0)
        return;
    dir = fdopendir(kept);
    if (!dir) {
        close(kept);
        return;
    }
    while ((entry = readdir(dir)))
        if (segment_parse_name(entry->d_name, ".seg", segment) == 0 && is_older(kept, entry->d_name, seconds))
            unlinkat(kept, entry->d_name, 0);
    closedir(dir);
}

void spool_aside_unborn(int folder, const char *name)
{
    uint8_t segment[UUID_BYTES];
    int fd;

    if (segment_parse_name(name, ".new", segment) != 0 || !is_older(folder, name, UNBORN_SECONDS))
        return;
    fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (lock_take(fd))
        unlinkat(folder, name, 0); /* a writer that is only slow finds that it cannot rename it */
    close(fd);
}
