/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* From the first byte to the end, wherever that will be. */
static struct flock whole_file_lock(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
}

bool lock_take(int fd)
{
    struct flock lock = whole_file_lock();

    return fcntl(fd, F_SETLK, &lock) == 0;
}

bool lock_wait(int fd)
{
    struct flock lock = whole_file_lock();

    return fcntl(fd, F_SETLKW, &lock) == 0;
}

pid_t lock_holder(int fd)
{
    struct flock lock = whole_file_lock();

    if (fcntl(fd, F_GETLK, &lock) != 0)
        return -1;
    if (lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid > 0)
        return lock.l_pid;
    errno =
        ESRCH; /* held from another pid namespace, as another container is: there is no pid here to name or signal */
    return -1;
}
