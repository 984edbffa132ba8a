/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/std_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

void std_fds_reserve(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd < 0)
        abort(); /* without /dev/null, output could land in a file of ours */
    close(fd);
}

void std_fds_close_others(unsigned first)
{
    closelog(); /* or syslog() would write to whatever gets its socket's number */
    close_range(first, ~0U, 0);
}
