/*
 * SPDX-License-Identifier: ISC
 *
 * Standard descriptors.
 */
#include <config.h>

#include "base/std_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void std_fds_reserve(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd < 0)
        abort(); /* no /dev/null: nothing here could be trusted */
    close(fd);
}
