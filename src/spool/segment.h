/*
 * SPDX-License-Identifier: ISC
 *
 * A segment of the spool: the on-disk format, and reading and writing it in memory. segment.c opens with the format.
 * This module does no input or output.
 */
#ifndef CANDHOOK_SEGMENT_H
#define CANDHOOK_SEGMENT_H

#include "base/uuid.h"

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_LABEL_BYTES 64
#define SEGMENT_BODY_BYTES (64u << 20) /* the largest body */
#define SEGMENT_HEADER_BYTES 40        /* what a segment begins with */
#define SEGMENT_HEAD_BYTES 40          /* what a record begins with */
#define SEGMENT_NAME_BYTES (UUID_TEXT + 4)

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

enum segment_found {
    SEGMENT_GOOD,  /* a record, complete, its checksum right */
    SEGMENT_SHORT, /* the beginning of one, as far as the bytes go */
    SEGMENT_BAD    /* not a record of this segment */
};

/* Writes the file name, SUFFIX (".seg", ".new") behind the id. Returns NAME. */
const char *segment_name(const uint8_t segment[UUID_BYTES], const char *suffix, char name[SEGMENT_NAME_BYTES]);

/* Reads a file name that ends in SUFFIX. Returns 0, or -1 when it is not one that segment_name would write. */
int segment_parse_name(const char *name, const char *suffix, uint8_t segment[UUID_BYTES]);

/* Writes the header of SEGMENT. */
void segment_put_header(uint8_t to[SEGMENT_HEADER_BYTES], const uint8_t segment[UUID_BYTES]);

/* Whether the LENGTH bytes begin with the header of SEGMENT, in the version that this module reads. */
int segment_has_header(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES]);

/* How many bytes RECORD takes. */
size_t segment_record_bytes(const struct segment_record *record);

/* Writes RECORD, segment_record_bytes(RECORD) long. Label and body must be within the limits above. Returns the length.
 */
size_t segment_put_record(uint8_t *to, const uint8_t segment[UUID_BYTES], const struct segment_record *record);

/*
 * Reads the record that begins at BYTES. SEGMENT_GOOD fills RECORD, and *SIZE is its length. SEGMENT_SHORT: it takes at
 * least *SIZE bytes (more than LENGTH) to tell. What does not begin like a record is SEGMENT_BAD from its first byte
 * on.
 */
enum segment_found segment_get_record(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES],
                                      struct segment_record *record, size_t *size);

/*
 * Where from FROM on a record may begin: the offset of the next magic, or of as much of one as the bytes end with;
 * LENGTH when there is none.
 */
size_t segment_find_magic(const uint8_t *bytes, size_t length, size_t from);

#endif
