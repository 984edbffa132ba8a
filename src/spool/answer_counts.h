/*
 * SPDX-License-Identifier: ISC
 *
 * How many answers of each status were given, for `candhook status`. Each running responder counts in a file of its own
 * in the spool's folder `answers`: it takes the first file that no other has locked, and adds to the numbers in it. So
 * nothing is lost when responders come and go, and under CGI the files stay few. A file is
 *
 *     since 2026-01-31T12:00:00Z
 *     200                   17          a line for each status, numbers in columns of one width
 *
 * It is written at most once a second and never synced: a power cut may take the last counts away, and nothing else
 * depends on them. A file that is locked tells that its responder lives.
 */
#ifndef CANDHOOK_ANSWER_COUNTS_H
#define CANDHOOK_ANSWER_COUNTS_H

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ANSWER_COUNTS_STATUSES 6

extern const int answer_counts_statuses[ANSWER_COUNTS_STATUSES]; /* those that a responder answers */

struct answer_counts;

/* Takes a file in the spool FOLDER. When that fails, nothing can be counted: *COUNTS is NULL, which the functions below
 * take. */
MUST_CHECK enum result answer_counts_open(int folder, struct answer_counts **counts, struct err *err);

/* Counts one answer, in memory. */
void answer_counts_add(struct answer_counts *counts, int status);

/*
 * Writes the counts when they changed and were not written for a second. Returns the milliseconds until that is due, -1
 * when nothing changed.
 */
int answer_counts_write_due(struct answer_counts *counts);

/* Writes the counts when they changed, and frees. */
void answer_counts_close(struct answer_counts *counts);

/* The sums over all files of a spool. */
struct answer_totals {
    uint64_t counts[ANSWER_COUNTS_STATUSES]; /* in the order of answer_counts_statuses */
    char since[CLOCK_TEXT_BYTES];            /* the earliest; "" when nothing was ever counted */
    size_t responders;                       /* that live */
    pid_t pid;                               /* of one of them; 0: none lives; -1: it is in another pid namespace */
};

/* Not for a responder itself: it opens and closes the files, which would release the responder's own lock. */
void answer_counts_read(int folder, struct answer_totals *totals);

#endif
