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
#ifndef CANDHOOK_TALLY_H
#define CANDHOOK_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TALLY_STATUSES 6

extern const int tally_statuses[TALLY_STATUSES]; /* those that a responder answers */

struct tally;

/* Takes a file in the spool FOLDER. NULL with errno: then nothing is counted, and the calls below take NULL. */
struct tally *tally_open(int folder);

/* One answer more; costs an addition. */
void tally_count(struct tally *tally, int status);

/* Writes when something is new and the last time was a second ago. Returns the milliseconds until it should be called
 * again, -1: not before something is counted. */
int tally_tend(struct tally *tally);

/* Writes what is new, and frees. */
void tally_close(struct tally *tally);

/* What all files of a spool say together. */
struct tally_sum {
    uint64_t counts[TALLY_STATUSES];
    char since[32];    /* the earliest; "" when nothing was ever counted */
    size_t responders; /* that live */
    pid_t pid;         /* of one of them; 0: none; -1: it cannot be seen from here */
};
void tally_read(int folder, struct tally_sum *sum);

#endif
