/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the reading of segments in memory. Built for libFuzzer with --enable-fuzzing; else a test of its own that runs
 * over the files given, or over seeds that it makes itself: segments whole, cut off and changed.
 */
#include <config.h>

#include "spool/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_run.h"

/* Reads it as the reader of the spool does: record after record, and from a bad place to the next magic. */
static size_t walk(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES])
{
    size_t at = 0, found = 0, size = 0;

    while (at < length) {
        struct segment_record record;
        size_t left = length - at;

        switch (segment_get_record(bytes + at, left, segment, &record, &size)) {
        case SEGMENT_GOOD:
            must(size <= left && size == segment_record_bytes(&record));
            must((const uint8_t *)record.body == bytes + at + SEGMENT_RECORD_HEADER_BYTES);
            must((const uint8_t *)record.body + record.body_length == bytes + at + size);
            must(record.body_length <= SEGMENT_BODY_BYTES);
            found++;
            at += size;
            break;
        case SEGMENT_SHORT:
            must(size > left);
            __attribute__((fallthrough));
        case SEGMENT_BAD:
            size = segment_find_magic(bytes, length, at + 1);
            must(size > at && size <= length);
            at = size;
            break;
        }
    }
    return found;
}

/* Whatever is put comes back, also when it is read as part of more. */
static void round_trip(const uint8_t *data, size_t size, const uint8_t segment[UUID_BYTES])
{
    struct segment_record record = {.flag = size % (SEGMENT_CUT_OFF + 1),
                                    .body = (const char *)data,
                                    .body_length = size},
                          read;
    size_t length, used;
    uint8_t *bytes;

    memcpy(record.id, segment, UUID_BYTES);
    bytes = malloc(segment_record_bytes(&record) + 3);
    must(bytes != NULL);
    length = segment_put_record(bytes, segment, &record);
    memset(bytes + length, 0xf5, 3);
    must(segment_get_record(bytes, length + 3, segment, &read, &used) == SEGMENT_GOOD && used == length);
    must(read.flag == record.flag && read.body_length == size);
    must(memcmp(read.body, data, size) == 0);
    must(segment_get_record(bytes, length - 1, segment, &read, &used) == SEGMENT_SHORT && used >= length);
    must(walk(bytes, length, segment) == 1);
    free(bytes);
}

/* The input is a segment's file: its header tells the generation, good or bad. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t segment[UUID_BYTES] = {0}, *bytes = malloc(size + 1);

    must(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    if (size >= SEGMENT_HEADER_BYTES)
        memcpy(segment, data + 16, UUID_BYTES);
    segment_has_header(bytes, size, segment);
    walk(bytes, size, segment);
    round_trip(bytes, size, segment);
    free(bytes);
    return 0;
}

#ifndef CANDHOOK_FUZZING

#include "tap.h"

/* Three records and a seal. Returns the length. */
static size_t make_seed(uint8_t *bytes, const uint8_t segment[UUID_BYTES])
{
    struct segment_record record = {.body = "{\"module\":\"MOIM\"}", .body_length = 17};
    size_t length = SEGMENT_HEADER_BYTES;

    segment_put_header(bytes, segment);
    for (int flag = SEGMENT_WHOLE; flag <= SEGMENT_SEAL; flag++) {
        record.flag = (enum segment_flag)flag;
        length += segment_put_record(bytes + length, segment, &record);
    }
    return length;
}

static void run_seeds(void)
{
    uint8_t bytes[1024], changed[1024], segment[UUID_BYTES];
    size_t length, fewer = 0;

    uuid_new(segment);
    length = make_seed(bytes, segment);
    ok(walk(bytes, length, segment) == 4, "a seed holds four records");
    for (size_t cut = 0; cut <= length; cut++)
        LLVMFuzzerTestOneInput(bytes, cut);
    ok(1, "it is read, cut off at any byte");
    for (size_t bit = 0; bit < 8 * length; bit++) {
        memcpy(changed, bytes, length);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        LLVMFuzzerTestOneInput(changed, length);
        fewer += bit / 8 >= SEGMENT_HEADER_BYTES && walk(changed, length, segment) == 3;
    }
    ok(fewer == 8 * (length - SEGMENT_HEADER_BYTES), "with any bit changed, the three others are read");
}

int main(int argc, char **argv)
{
    if (argc == 1)
        run_seeds();
    for (int i = 1; i < argc; i++) {
        fuzz_file(argv[i]);
        ok(1, "%s", argv[i]);
    }
    return done();
}

#endif
