/*
 * SPDX-License-Identifier: ISC
 *
 * A look at a spool from outside, for the verbs status and doctor: who works on it, how much waits, what was answered.
 */
#ifndef CANDHOOK_INSPECT_H
#define CANDHOOK_INSPECT_H

#include "base/err.h"
#include "conf/conf.h"
#include "spool/answer_counts.h"
#include "spool/spool_depth.h"
#include "store/store.h"

#include <sys/types.h>
#include <time.h>

struct inspection {
    int folder;          /* the spool's, -1: cannot be opened */
    pid_t worker;        /* 0: none runs; -1: its process cannot be seen from here */
    time_t worker_since; /* 0: not known */
    int stopped;         /* a person ran candhook stop */
    struct answer_totals answers;
    struct spool_depth depth;
};

/*
 * FACTS are store_status's, which tell how far each segment is recorded; without them (NULL) all that lies there counts
 * as not recorded. RESULT_FAIL when the spool cannot be looked into; LOOK is to be closed in any case.
 */
MUST_CHECK enum result inspect_spool(struct inspection *look, const struct conf *conf, const struct store_facts *facts,
                                     struct err *err);
void inspect_close(struct inspection *look);

/* Seconds since the oldest event that is not recorded arrived; 0 when there is none. */
long inspect_oldest_seconds(const struct inspection *look);

/* A number of seconds for people: "40 s", "12 min", "3 h", "2 days". Returns TEXT. */
const char *inspect_age(long seconds, char text[32]);

/* A number of bytes for people: "740 bytes", "12 KiB", "3 MiB". Returns TEXT. */
const char *inspect_size(uint64_t bytes, char text[32]);

#endif
