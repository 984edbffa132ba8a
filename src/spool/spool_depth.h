/*
 * SPDX-License-Identifier: ISC
 *
 * How much of the spool is not recorded. It only reads and takes no lock, so it may run beside responders and the
 * worker. The result may be out of date by the time it is returned.
 */
#ifndef CANDHOOK_SPOOL_DEPTH_H
#define CANDHOOK_SPOOL_DEPTH_H

#include "base/err.h"
#include "base/uuid.h"

#include <stddef.h>
#include <stdint.h>

struct spool_depth {
    size_t segments;    /* files, including those that are recorded whole */
    size_t events;      /* that are not recorded */
    uint64_t bytes;     /* size of their records */
    uint64_t oldest_ms; /* when the oldest of them arrived, since 1970; 0: there is none */
    size_t damaged;     /* files in the folder `damaged`: what bit rot left */
    size_t torn;        /* and torn ends of segments */
};

/* Returns the offset up to which a segment is recorded, as the database stores it; 0 when it does not know the segment.
 */
typedef uint64_t spool_depth_fn(const void *context, const uint8_t segment[UUID_BYTES]);

/* Fills *DEPTH. RESULT_FAIL when the folder cannot be listed. */
MUST_CHECK enum result spool_depth_count(int folder, spool_depth_fn *recorded, const void *context,
                                         struct spool_depth *depth, struct err *err);

#endif
