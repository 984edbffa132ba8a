/*
 * SPDX-License-Identifier: ISC
 *
 * Locks of whole files between processes: POSIX record locks from the first byte to whatever the end becomes.
 */
#include <config.h>

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
}

bool lock_take(int fd)
{
    struct flock lock = whole_file(F_WRLCK);

    return fcntl(fd, F_SETLK, &lock) == 0;
}

bool lock_wait(int fd)
{
    struct flock lock = whole_file(F_WRLCK);

    return fcntl(fd, F_SETLKW, &lock) == 0;
}

pid_t lock_holder(int fd)
{
    struct flock lock = whole_file(F_WRLCK);

    if (fcntl(fd, F_GETLK, &lock) != 0)
        return -1;
    if (lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid > 0)
        return lock.l_pid;
    errno = ESRCH; /* another container's: it is held, and there is no pid here to name or to signal */
    return -1;
}
