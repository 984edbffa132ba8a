/*
 * SPDX-License-Identifier: ISC
 *
 * Whether this machine has a processor to spare. From /proc/stat, which counts the time that all processors together
 * spent at work and at rest, in ticks of 10 ms (proc_stat(5)).
 */
#ifndef CANDHOOK_PROCESSORS_H
#define CANDHOOK_PROCESSORS_H

#include <stdint.h>

/* Begins as zeros. */
struct processors {
    uint64_t idle, all; /* ticks, as they were last looked at */
    int busy;           /* what was found then */
};

/*
 * Whether the time of less than 0.4 processors was idle since a look before this one. 0 as long as nobody can tell: at
 * the first look, and where /proc/stat is not to be had. Waiting for a disk counts as idle.
 */
int processors_busy(struct processors *processors);

/* The same, from TEXT, which begins as /proc/stat does, of a machine with COUNT processors. */
int processors_busy_by(struct processors *processors, const char *text, long count);

#endif
