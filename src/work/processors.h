/*
 * SPDX-License-Identifier: ISC
 *
 * Whether this machine has an idle processor, by /proc/stat, which counts the time that all processors together were
 * busy and idle, in ticks of 10 ms (proc_stat(5)).
 */
#ifndef CANDHOOK_PROCESSORS_H
#define CANDHOOK_PROCESSORS_H

#include <stdbool.h>
#include <stdint.h>

/* Starts as {0}. */
struct processors {
    uint64_t idle, all; /* ticks, at the last reading */
    bool busy;          /* the result of that reading */
};

/*
 * Returns whether less than 0.4 processors were idle since an earlier reading. False as long as this is unknown: at the
 * first reading, and where /proc/stat cannot be read. Waiting for a disk counts as idle.
 */
bool processors_busy(struct processors *processors);

/* The same, from TEXT, which begins like /proc/stat, of a machine with COUNT processors. */
bool processors_busy_by(struct processors *processors, const char *text, long count);

#endif
