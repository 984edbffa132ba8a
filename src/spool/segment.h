/*
 * SPDX-License-Identifier: ISC
 *
 * A segment of the spool: the on-disk format, encoded and decoded in memory. segment.c opens with the format. This
 * module does no input or output.
 */
#ifndef CANDHOOK_SEGMENT_H
#define CANDHOOK_SEGMENT_H

#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_BODY_BYTES (64u << 20)     /* the largest body */
#define SEGMENT_HEADER_BYTES 40            /* what a segment begins with */
#define SEGMENT_RECORD_HEADER_BYTES 40     /* what a record begins with */
#define SEGMENT_NAME_BYTES (UUID_TEXT + 4) /* room for a file name, with its NUL */

enum segment_flag {
    SEGMENT_WHOLE = 0,   /* as long as announced */
    SEGMENT_CUT_OFF = 1, /* shorter than announced, or the stream broke */
    SEGMENT_SEAL = 3     /* no event: the writer closed the segment in good order */
};

/* One spooled body. When it was read from a segment, BODY points into the caller's bytes. */
struct segment_record {
    uint8_t id[UUID_BYTES];
    enum segment_flag flag;
    const char *body;
    size_t body_length;
};

enum segment_found {
    SEGMENT_GOOD,  /* a complete record with the right checksum */
    SEGMENT_SHORT, /* the beginning of a record; the rest lies beyond the bytes given */
    SEGMENT_BAD    /* not a record of this segment */
};

/* Writes the file name: the id and SUFFIX (".seg", ".new"). Returns NAME. */
const char *segment_name(const uint8_t segment[UUID_BYTES], const char *suffix, char name[SEGMENT_NAME_BYTES]);

/* Reads a file name that ends in SUFFIX. Returns false when it is not one that segment_name would write. */
bool segment_parse_name(const char *name, const char *suffix, uint8_t segment[UUID_BYTES]);

/* Writes the header of SEGMENT. */
void segment_put_header(uint8_t to[SEGMENT_HEADER_BYTES], const uint8_t segment[UUID_BYTES]);

/* Whether the LENGTH bytes begin with the header of SEGMENT, in the version that this module reads. */
bool segment_has_header(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES]);

/* Returns the size of RECORD in a segment, in bytes. */
size_t segment_record_bytes(const struct segment_record *record);

/* Writes RECORD, whose body must have at most SEGMENT_BODY_BYTES. Returns its size: segment_record_bytes(RECORD). */
size_t segment_put_record(uint8_t *to, const uint8_t segment[UUID_BYTES], const struct segment_record *record);

/*
 * Reads the record that begins at BYTES.
 * SEGMENT_GOOD: RECORD is filled, and *SIZE is its size in bytes.
 * SEGMENT_SHORT: at least *SIZE bytes, which is more than LENGTH, are needed to tell.
 * SEGMENT_BAD: said as soon as the bytes differ from the beginning of a record, however few they are.
 */
enum segment_found segment_get_record(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES],
                                      struct segment_record *record, size_t *size);

/*
 * Returns the offset, FROM or later, of the next magic number, at which a record may begin. One that is cut off by the
 * end of the bytes counts. LENGTH when there is none.
 */
size_t segment_find_magic(const uint8_t *bytes, size_t length, size_t from);

#endif
