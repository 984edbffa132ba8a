/*
 * SPDX-License-Identifier: ISC
 *
 * A segment of the spool: the on-disk format, and reading and writing it in memory. segment.c opens with the format.
 * This module does no input or output.
 */
#ifndef CANDHOOK_SEGMENT_H
#define CANDHOOK_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "uuid.h"

#define SEGMENT_LABEL_BYTES 64

enum segment_flag {
    SEGMENT_WHOLE = 0,      /* visibly one whole JSON object */
    SEGMENT_CUT_OFF = 1,    /* shorter than announced, or the stream broke */
    SEGMENT_NOT_OBJECT = 2, /* complete, but visibly not one JSON object */
    SEGMENT_SEAL = 3        /* no event: the writer closed the segment in good order */
};

/* One spooled body. Read from a segment, label and body point into the caller's bytes. */
struct segment_record {
    uint8_t id[UUID_BYTES];
    enum segment_flag flag;
    const char *label; /* of the URL secret, label_length bytes, not NUL-terminated when read */
    size_t label_length;
    const char *body;
    size_t body_length;
};

#endif
