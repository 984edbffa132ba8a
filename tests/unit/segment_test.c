/*
 * SPDX-License-Identifier: ISC
 *
 * The format of segments, in memory.
 */
#include <config.h>

#include "spool/segment.h"

#include <stdlib.h>
#include <string.h>

#include "spool_rig.h"
#include "tap.h"

static const uint8_t generation[UUID_BYTES] = {0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0x7a, 0xbc,
                                               0x8d, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xaf};
static const uint8_t other[UUID_BYTES] = {0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0x7a, 0xbc,
                                          0x8d, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xae};

static const struct segment_record sample = {
    .id = "0123456789abcde", .flag = SEGMENT_CUT_OFF, .body = "{\"a\":1", .body_length = 6};

/* A fixed picture of the format: what another program of this version wrote must stay readable. */
static void test_picture(void)
{
    static const uint8_t header[SEGMENT_HEADER_BYTES] = {0x43, 0x41, 0x4e, 0x44, 0x48, 0x4f, 0x4f, 0x4b, 0x02, 0x00,
                                                         0x00, 0x00, 0x28, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5,
                                                         0x68, 0x7b, 0x7a, 0xbc, 0x8d, 0xef, 0x01, 0x23, 0x45, 0x67,
                                                         0x89, 0xaf, 0x1c, 0x52, 0xed, 0x7c, 0xfe, 0x19, 0xaf, 0x31};
    static const uint8_t picture[] = {0xf5, 0x63, 0x48, 0xff, 0x97, 0x94, 0x8d, 0x83, 0x35, 0xc5, 0x8a, 0x2a,
                                      0xf8, 0xbb, 0xdb, 0xa0, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37,
                                      0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x00, 0x06, 0x00, 0x00, 0x00,
                                      0x01, 0x00, 0x00, 0x00, 0x7b, 0x22, 0x61, 0x22, 0x3a, 0x31};
    uint8_t bytes[128];

    segment_put_header(bytes, generation);
    ok(memcmp(bytes, header, sizeof header) == 0, "the header is laid out as ever");
    ok(segment_put_record(bytes, generation, &sample) == sizeof picture && memcmp(bytes, picture, sizeof picture) == 0,
       "a record is laid out as ever");
}

static void test_names(void)
{
    static const char *const wrong[] = {"018bcfe5-687b-7abc-8def-0123456789af.new",
                                        "018bcfe5-687b-7abc-8def-0123456789af.segx",
                                        "018BCFE5-687b-7abc-8def-0123456789af.seg",
                                        "018bcfe5-687b-7abc-8def-0123456789a.seg",
                                        ".",
                                        "",
                                        "worker.lock"};
    char name[SEGMENT_NAME_BYTES];
    uint8_t id[UUID_BYTES];

    is_text(segment_name(generation, ".seg", name), "018bcfe5-687b-7abc-8def-0123456789af.seg",
            "the name of a segment");
    ok(segment_parse_name(name, ".seg", id) && memcmp(id, generation, UUID_BYTES) == 0, "is read back");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(!segment_parse_name(wrong[i], ".seg", id), "\"%s\" is no segment", wrong[i]);
}

static void test_header(void)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    int refused = 0, shorter = 0;

    segment_put_header(header, generation);
    ok(segment_has_header(header, sizeof header, generation), "a header is recognised");
    ok(!segment_has_header(header, sizeof header, other), "and is not another segment's");
    for (size_t i = 0; i < sizeof header; i++) {
        header[i] ^= 0x10;
        refused += !segment_has_header(header, sizeof header, generation);
        header[i] ^= 0x10;
        shorter += !segment_has_header(header, i, generation);
    }
    ok(refused == SEGMENT_HEADER_BYTES, "a change in any of its bytes is seen");
    ok(shorter == SEGMENT_HEADER_BYTES, "and so is a shorter one");
}

static void test_round_trip(void)
{
    static const size_t lengths[] = {0, 1, 100, 5000};
    struct segment_record read;
    size_t size;

    for (size_t i = 0; i < 4; i++) {
        struct segment_record record = rig_event(lengths[i]);
        uint8_t *bytes = malloc(segment_record_bytes(&record));
        size_t put = segment_put_record(bytes, generation, &record);

        record.flag = SEGMENT_WHOLE;
        ok(put == segment_record_bytes(&record) &&
               segment_get_record(bytes, put, generation, &read, &size) == SEGMENT_GOOD && size == put &&
               memcmp(read.id, record.id, UUID_BYTES) == 0 && read.flag == record.flag &&
               read.body_length == record.body_length && rig_is_intact(&read),
           "a body of %zu bytes comes back as it was", lengths[i]);
        free(bytes);
    }
}

static void test_prefixes(void)
{
    uint8_t bytes[128];
    size_t put = segment_put_record(bytes, generation, &sample), size;
    struct segment_record read;
    int fine = 1;

    for (size_t length = 0; length < put; length++)
        fine &= segment_get_record(bytes, length, generation, &read, &size) == SEGMENT_SHORT && size > length &&
                size == (length < SEGMENT_RECORD_HEADER_BYTES ? SEGMENT_RECORD_HEADER_BYTES : put);
    ok(fine, "every beginning of a record is short, and tells how much it takes");
    ok(segment_get_record(bytes, put, generation, &read, &size) == SEGMENT_GOOD && read.flag == SEGMENT_CUT_OFF,
       "the whole of it is good");
    ok(segment_get_record(bytes, put, other, &read, &size) == SEGMENT_BAD, "in another generation it is no record");
}

static void test_changes(void)
{
    uint8_t bytes[128];
    size_t put = segment_put_record(bytes, generation, &sample), size, refused = 0;
    struct segment_record read;

    for (size_t bit = 0; bit < 8 * put; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused += segment_get_record(bytes, put, generation, &read, &size) == SEGMENT_BAD;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ok(refused == 8 * put, "a change in any bit of a record is seen");
}

static void test_fields(void)
{
    struct segment_record record = sample, read;
    uint8_t bytes[256];
    size_t size;

    record.flag = (enum segment_flag)(SEGMENT_SEAL + 1);
    segment_put_record(bytes, generation, &record);
    ok(segment_get_record(bytes, sizeof bytes, generation, &read, &size) == SEGMENT_BAD,
       "an unknown flag is refused though its checksums are right");
}

static void test_magic(void)
{
    uint8_t bytes[200];
    int fine = 1;

    memset(bytes, 0xf5, sizeof bytes);
    ok(segment_find_magic(bytes, 199, 0) == 198, "first bytes of a magic are none, but for the last one");
    for (size_t at = 0; at < 100; at++) {
        memset(bytes, 'x', sizeof bytes);
        segment_put_record(bytes + at, generation, &sample);
        fine &= segment_find_magic(bytes, sizeof bytes, 0) == at && segment_find_magic(bytes, at + 1, 0) == at &&
                segment_find_magic(bytes, at + 3, 0) == at && segment_find_magic(bytes, at, 0) == at &&
                segment_find_magic(bytes, sizeof bytes, at + 1) == sizeof bytes;
    }
    ok(fine, "a magic is found wherever it begins, half of one only at the end");
    ok(segment_find_magic(bytes, 0, 0) == 0, "nothing holds none");
}

int main(void)
{
    test_picture();
    test_names();
    test_header();
    test_round_trip();
    test_prefixes();
    test_changes();
    test_fields();
    test_magic();
    rig_forget_bodies();
    return done();
}
