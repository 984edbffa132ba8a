/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/io.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_ROOM 65536

ssize_t io_read_all(int fd, void *bytes, size_t room)
{
    size_t length = 0;

    while (length < room) {
        ssize_t got = read(fd, (char *)bytes + length, room - length);

        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

bool io_write_all(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t put = write(fd, at, length);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        at += put;
        length -= (size_t)put;
    }
    return true;
}

/* Reads to the end of FD into *TEXT, which is allocated in any case. Returns the number of bytes, or -1 with errno. */
static ssize_t read_growing(int fd, size_t max, char **text)
{
    size_t room = FIRST_ROOM, length = 0;
    ssize_t got;

    *text = NULL;
    do {
        room *= 2;
        *text = memory_resize(*text, room, 1);
        got = io_read_all(fd, *text + length, room - length);
        if (got < 0)
            return -1;
        length += (size_t)got;
    } while (length == room && length <= max);
    if (length <= max) {
        (*text)[length] = '\0';
        return (ssize_t)length;
    }
    errno = EFBIG;
    return -1;
}

enum result io_read_file(const char *path, size_t max, char **text, size_t *length, struct err *err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    *text = NULL;
    if (fd >= 0)
        got = read_growing(fd, max, text);
    if (got < 0) {
        err_set_errno(err, "cannot read %s", from_stdin ? "stdin" : path);
        free(*text);
        *text = NULL;
    } else {
        *length = (size_t)got;
    }
    if (fd >= 0 && !from_stdin)
        close(fd);
    return got < 0 ? RESULT_FAIL : RESULT_OK;
}

bool io_sync_parent(const char *path)
{
    char *copy = memory_copy_text(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    int reason = errno;

    if (fd >= 0)
        close(fd);
    free(copy);
    errno = reason;
    return synced;
}

static int open_by_path(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static int (*io_opener)(const char *, int, mode_t) = open_by_path;

int io_open(const char *path, int flags, mode_t mode)
{
    return io_opener(path, flags, mode);
}

void io_set_opener(int (*opener)(const char *path, int flags, mode_t mode))
{
    io_opener = opener;
}
