/*
 * SPDX-License-Identifier: ISC
 *
 * How many answers of each status were given, for `candhook status`. The spool's folder `answers` has a file for each
 * responder that runs at the same time: it takes the first one that nobody has locked, and counts on from what stands
 * there, so that nothing is lost when responders come and go, and under CGI the files do not become many. A file is
 *
 *     since 2026-01-31T12:00:00Z
 *     200                   17          a line for each status, numbers in columns of one width
 *
 * It is written at most once a second and never synced: a power cut may take the last counts away, and nothing else
 * depends on them. Who holds a file's lock is a responder that lives.
 */
#ifndef CANDHOOK_ANSWER_COUNTS_H
#define CANDHOOK_ANSWER_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ANSWER_COUNTS_STATUSES 6

extern const int answer_counts_statuses[ANSWER_COUNTS_STATUSES]; /* those that a responder answers */

struct answer_counts;

/* Takes a file in the spool FOLDER. NULL with errno: then nothing is counted, and the calls below take NULL. */
struct answer_counts *answer_counts_open(int folder);

/* One answer more; costs an addition. */
void answer_counts_add(struct answer_counts *counts, int status);

/* Writes when something is new and the last time was a second ago. Returns the milliseconds until it should be called
 * again, -1: not before something is counted. */
int answer_counts_write_due(struct answer_counts *counts);

/* Writes what is new, and frees. */
void answer_counts_close(struct answer_counts *counts);

/* What all files of a spool say together. */
struct answer_totals {
    uint64_t counts[ANSWER_COUNTS_STATUSES];
    char since[32];    /* the earliest; "" when nothing was ever counted */
    size_t responders; /* that live */
    pid_t pid;         /* of one of them; 0: none; -1: it cannot be seen from here */
};
void answer_counts_read(int folder, struct answer_totals *sum);

#endif
