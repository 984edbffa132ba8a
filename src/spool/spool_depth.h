/*
 * SPDX-License-Identifier: ISC
 *
 * How much the spool holds that is not recorded. Looks and changes nothing, and takes no lock: it may run beside
 * responders and the worker. What it counts may be recorded by the time it says so.
 */
#ifndef CANDHOOK_SPOOL_DEPTH_H
#define CANDHOOK_SPOOL_DEPTH_H

#include "base/uuid.h"

#include <stddef.h>
#include <stdint.h>

struct spool_depth {
    size_t segments;    /* files, also those of which all is recorded */
    size_t events;      /* not recorded */
    uint64_t bytes;     /* that these take */
    uint64_t oldest_ms; /* when the oldest of them arrived, since 1970; 0: there is none */
    size_t damaged;     /* files in the folder `damaged` */
};

/* Up to where a segment is recorded, as the database says; 0: not at all, as far as is known. */
typedef uint64_t spool_depth_fn(const void *context, const uint8_t segment[UUID_BYTES]);

/* Returns 0, or -1 with errno when the folder cannot be read. */
int spool_depth(int folder, spool_depth_fn *recorded, const void *context, struct spool_depth *depth);

#endif
