/*
 * SPDX-License-Identifier: ISC
 *
 * The state of a spool as status and doctor show it: whether a worker runs, how much is not recorded, which answers
 * were given; and the one judgement of whether work is stalled. Creates nothing and locks nothing.
 */
#ifndef CANDHOOK_INSPECT_H
#define CANDHOOK_INSPECT_H

#include "base/err.h"
#include "conf/conf.h"
#include "spool/counts.h"
#include "spool/spool_depth.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct inspection {
    int folder;                   /* the spool's; -1: it could not be opened */
    pid_t worker;                 /* 0: none runs; -1: one runs, and its process cannot be seen from here */
    time_t worker_since;          /* 0: not known */
    bool stopped;                 /* a person ran candhook stop */
    struct count_totals answers;  /* its processes are the responders */
    struct count_totals outcomes; /* of this host's worker */
    struct spool_depth depth;
};

/*
 * Inspects the spool of CONF. FACTS, of store_status, tell the position of each segment; without them (NULL) every
 * record counts as not recorded. RESULT_FAIL when the spool cannot be read. To be closed in any case.
 */
MUST_CHECK enum result inspect_spool(struct inspection *spool, const struct conf *conf, const struct store_facts *facts,
                                     struct err *err);
void inspect_close(struct inspection *spool);

/* Ages in seconds, 0 when there is none: what waits, and whether it has waited too long. */
struct inspect_backlog {
    long unrecorded_s; /* since the oldest event in the spool that is not recorded arrived */
    long due_s;        /* since the oldest delivery could have run */
    bool recording_stalled, handling_stalled;
    bool worker_missing; /* something waits, and no worker runs */
};

/* Judges whether work goes on. FACTS are those of store_status; NULL without a database. */
struct inspect_backlog inspect_judge(const struct inspection *spool, const struct store_facts *facts);

/* Returns the fact AREA, KEY of store_status as a number; 0 when there is none. */
long inspect_number(const struct store_facts *facts, const char *area, const char *key);

/* Returns whether FACTS, of store_status, tell of a delivery that could run. */
bool inspect_has_due(const struct store_facts *facts);

/* A number of seconds for people: "40 s", "12 min", "3 h", "2 days". Returns TEXT. */
const char *inspect_age(long seconds, char text[32]);

/* A number of bytes for people: "740 bytes", "12 KiB", "3 MiB". Returns TEXT. */
const char *inspect_size(uint64_t bytes, char text[32]);

#endif
