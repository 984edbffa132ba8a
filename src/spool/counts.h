/*
 * SPDX-License-Identifier: ISC
 *
 * What the programs of a spool have counted, for `candhook status` and for metrics: answers by their status, outcomes
 * by handler and result. Each running process counts in a file of its own in a folder of the spool: it takes the first
 * file that no other has locked, and adds to the numbers in it. So nothing is lost when processes come and go, and
 * under CGI the files stay few. A file is
 *
 *     since 2026-01-31T12:00:00Z
 *                       17 200           a line for each key, numbers in columns of one width
 *
 * It is written at most once a second and never synced: a power cut may take the last counts away, and nothing else
 * depends on them. A file that is locked tells that its process lives.
 */
#ifndef CANDHOOK_COUNTS_H
#define CANDHOOK_COUNTS_H

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNTS_ANSWERS "answers" /* the folder of the responders; a key is a status that they answer, of these: */
#define COUNTS_STATUSES                                                                                                \
    {                                                                                                                  \
        "200", "400", "404", "405", "413", "503"                                                                       \
    }
#define COUNTS_OUTCOMES "outcomes" /* the folder of the worker's processes; keys: work/outcomes.h */
#define COUNTS_BOUNDS                                                                                                  \
    {                                                                                                                  \
        "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "300", "3600", "+Inf"        \
    }
#define COUNTS_KEY_BYTES 300

struct counts;

/* Takes a file in FOLDER of the spool. When that fails, nothing can be counted: *COUNTS is NULL, which the functions
 * below take. */
MUST_CHECK enum result counts_open(int spool, const char *folder, struct counts **counts, struct err *err);

/* Adds to the count of KEY, in memory. KEY has no control characters and less than COUNTS_KEY_BYTES. */
void counts_add(struct counts *counts, const char *key, uint64_t number);

/*
 * Writes the counts when they changed and were not written for a second. Returns the milliseconds until that is due, -1
 * when nothing changed.
 */
int counts_write_due(struct counts *counts);

/* Writes the counts when they changed, and frees. */
void counts_close(struct counts *counts);

/* Frees in a process that was forked: the file stays the parent's. */
void counts_abandon(struct counts *counts);

/* The sums over all files of a folder. */
struct count_total {
    char *key;
    uint64_t number;
};
struct count_totals {
    struct count_total *totals; /* in the order of their keys */
    size_t count;
    char since[CLOCK_TEXT_BYTES]; /* the earliest; "" when nothing was ever counted */
    size_t processes;             /* that live */
    pid_t pid;                    /* of one of them; 0: none lives; -1: it is in another pid namespace */
};

/* Not for a process that counts in FOLDER itself: it opens and closes the files, which would release the lock. */
void counts_read(int spool, const char *folder, struct count_totals *totals);
void counts_free_totals(struct count_totals *totals);

/* Returns the number of KEY, 0 when it was never counted. */
uint64_t counts_total(const struct count_totals *totals, const char *key);

#endif
