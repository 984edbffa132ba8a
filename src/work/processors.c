/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/processors.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define FEWEST_TICKS 10 /* between two readings: the difference of fewer is too coarse */

bool processors_busy_by(struct processors *processors, const char *text, long count)
{
    uint64_t user, nice, system, idle, iowait, irq, softirq, steal, all;

    if (sscanf(text, "cpu %" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64, &user,
               &nice, &system, &idle, &iowait, &irq, &softirq, &steal) != 8)
        return false;
    idle += iowait;
    all = user + nice + system + idle + irq + softirq + steal;
    if (processors->all == 0 || all < processors->all)
        processors->busy = false; /* the first reading, or counters that went back */
    else if (all - processors->all < FEWEST_TICKS)
        return processors->busy;
    else
        /* iowait may decrease (proc_stat(5)): then the difference is huge, and the result is false. */
        processors->busy = (idle - processors->idle) * (uint64_t)count * 5 < (all - processors->all) * 2;
    processors->idle = idle;
    processors->all = all;
    return processors->busy;
}

bool processors_busy(struct processors *processors)
{
    char text[512] = "";
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close(fd);
    return processors_busy_by(processors, text, sysconf(_SC_NPROCESSORS_ONLN));
}
