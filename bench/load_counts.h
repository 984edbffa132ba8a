/*
 * SPDX-License-Identifier: ISC
 *
 * What the load generator counts, and the line of JSON that tells it.
 */
#ifndef BENCH_LOAD_COUNTS_H
#define BENCH_LOAD_COUNTS_H

#include <stdint.h>

#define STATUSES 600
#define STEPS 64 /* buckets for each doubling of a latency: 1.6 % apart at most */
#define BUCKETS (STEPS * 60)

struct histogram {
    uint64_t buckets[BUCKETS];
    uint64_t count;
    int64_t largest;
    double sum;
};

/* For the whole run, or for a stretch of it. */
struct counts {
    struct histogram latency; /* of what was acknowledged, in nanoseconds */
    uint64_t statuses[STATUSES];
    uint64_t sent;
    uint64_t refused; /* no connection could be made */
    uint64_t broken;  /* it ended without an answer */
    uint64_t late;    /* no answer in time */
};

void histogram_add(struct histogram *histogram, int64_t value);

/* Prints a line of JSON; MORE are members of it that come last, each with its comma before. */
void counts_print(const struct counts *counts, double seconds, const char *more);

#endif
