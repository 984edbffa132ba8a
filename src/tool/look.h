/*
 * SPDX-License-Identifier: ISC
 *
 * A look at a spool from outside, for the verbs status and doctor: who works on it, how much waits, what was answered.
 */
#ifndef CANDHOOK_LOOK_H
#define CANDHOOK_LOOK_H

#include <sys/types.h>
#include <time.h>

#include "conf.h"
#include "err.h"
#include "spool_depth.h"
#include "store.h"
#include "tally.h"

struct look {
    int folder;          /* the spool's, -1: cannot be opened */
    pid_t worker;        /* 0: none runs; -1: its process cannot be seen from here */
    time_t worker_since; /* 0: not known */
    int stopped;         /* a person ran candhook stop */
    struct tally_sum answers;
    struct spool_depth depth;
};

/*
 * FACTS are store_status's, which tell how far each segment is recorded; without them (NULL) all that lies there counts
 * as not recorded. RESULT_FAIL when the spool cannot be looked into; LOOK is to be closed in any case.
 */
MUST_CHECK enum result look_at(struct look *look, const struct conf *conf, const struct store_facts *facts,
                               struct err *err);
void look_close(struct look *look);

/* Seconds since the oldest event that is not recorded arrived; 0 when there is none. */
long look_oldest_seconds(const struct look *look);

/* A number of seconds for people: "40 s", "12 min", "3 h", "2 days". Returns TEXT. */
const char *look_age(long seconds, char text[32]);

/* A number of bytes for people: "740 bytes", "12 KiB", "3 MiB". Returns TEXT. */
const char *look_size(uint64_t bytes, char text[32]);

#endif
