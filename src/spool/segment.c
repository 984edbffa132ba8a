/*
 * SPDX-License-Identifier: ISC
 *
 * The format of a segment. All numbers are little-endian and unsigned; nothing is aligned; nothing depends on the
 * compiler or the machine. The file is <uuid>.seg, and the uuid in its name is the segment's generation.
 *
 *   header      0   8   "CANDHOOK"
 *               8   4   version of the format: 1
 *              12   4   length of the header: 40
 *              16  16   the segment's uuid
 *              32   8   checksum of the 32 bytes before
 *
 *   record      0   4   magic: f5 63 48 ff (two bytes that no UTF-8 text holds)
 *               4   4   head check: lower half of the checksum of bytes 8 to 39
 *               8   8   checksum of all bytes from 16 to the end of the body
 *              16  16   the event's id
 *              32   4   length of the body
 *              36   1   flag (enum segment_flag)
 *              37   1   length of the label
 *              38   2   0
 *              40       label, then body
 *
 * Behind the last record there may be zeros: room that the writer made ready. A record with the flag SEGMENT_SEAL, with
 * no label and no body, ends a segment that was closed in good order; whatever follows it means nothing.
 *
 * Every checksum is XXH3 (64 bits) seeded with the generation, so that bytes that another segment left on the disk
 * never pass for records of this one, and a body that imitates a record does not either. The head check lets a reader
 * refuse a false magic by 40 bytes, without following its length.
 */
#include <config.h>

#include "spool/segment.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT_VERSION 1

static const uint8_t header_magic[8] = "CANDHOOK";
static const uint8_t magic[4] = {0xf5, 0x63, 0x48, 0xff};

static void put_number(uint8_t *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *from, int bytes)
{
    uint64_t number = 0;

    for (int i = bytes; i-- > 0;)
        number = number << 8 | from[i];
    return number;
}

static uint64_t checksum(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES])
{
    return XXH3_64bits_withSeed(bytes, length, get_number(segment, 8) ^ get_number(segment + 8, 8));
}

const char *segment_name(const uint8_t segment[UUID_BYTES], const char *suffix, char name[SEGMENT_NAME_BYTES])
{
    char text[UUID_TEXT];

    snprintf(name, SEGMENT_NAME_BYTES, "%s%.4s", uuid_text(segment, text), suffix);
    return name;
}

int segment_parse_name(const char *name, const char *suffix, uint8_t segment[UUID_BYTES])
{
    char text[SEGMENT_NAME_BYTES];

    if (strlen(name) != SEGMENT_NAME_BYTES - 1)
        return -1;
    memcpy(text, name, UUID_TEXT - 1);
    text[UUID_TEXT - 1] = '\0';
    if (!uuid_parse(text, segment))
        return -1;
    return strcmp(segment_name(segment, suffix, text), name) == 0 ? 0 : -1;
}

void segment_put_header(uint8_t to[SEGMENT_HEADER_BYTES], const uint8_t segment[UUID_BYTES])
{
    memcpy(to, header_magic, sizeof header_magic);
    put_number(to + 8, FORMAT_VERSION, 4);
    put_number(to + 12, SEGMENT_HEADER_BYTES, 4);
    memcpy(to + 16, segment, UUID_BYTES);
    put_number(to + 32, checksum(to, 32, segment), 8);
}

int segment_has_header(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES])
{
    uint8_t wanted[SEGMENT_HEADER_BYTES];

    segment_put_header(wanted, segment);
    return length >= sizeof wanted && memcmp(bytes, wanted, sizeof wanted) == 0;
}

size_t segment_record_bytes(const struct segment_record *record)
{
    return SEGMENT_HEAD_BYTES + record->label_length + record->body_length;
}

size_t segment_put_record(uint8_t *to, const uint8_t segment[UUID_BYTES], const struct segment_record *record)
{
    size_t size = segment_record_bytes(record);

    memcpy(to, magic, sizeof magic);
    memcpy(to + 16, record->id, UUID_BYTES);
    put_number(to + 32, record->body_length, 4);
    to[36] = (uint8_t)record->flag;
    to[37] = (uint8_t)record->label_length;
    to[38] = to[39] = 0;
    if (record->label_length > 0)
        memcpy(to + SEGMENT_HEAD_BYTES, record->label, record->label_length);
    if (record->body_length > 0)
        memcpy(to + SEGMENT_HEAD_BYTES + record->label_length, record->body, record->body_length);
    put_number(to + 8, checksum(to + 16, size - 16, segment), 8);
    put_number(to + 4, checksum(to + 8, SEGMENT_HEAD_BYTES - 8, segment) & UINT32_MAX, 4);
    return size;
}

/* A head whose check is right was written by this program, or nearly: the fields are judged all the same. */
static int head_is_good(const uint8_t *head, const uint8_t segment[UUID_BYTES])
{
    return get_number(head + 4, 4) == (checksum(head + 8, SEGMENT_HEAD_BYTES - 8, segment) & UINT32_MAX) &&
           get_number(head + 32, 4) <= SEGMENT_BODY_BYTES && head[36] <= SEGMENT_SEAL &&
           head[37] <= SEGMENT_LABEL_BYTES && head[38] == 0 && head[39] == 0;
}

enum segment_found segment_get_record(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES],
                                      struct segment_record *record, size_t *size)
{
    *size = SEGMENT_HEAD_BYTES;
    if (memcmp(bytes, magic, length < sizeof magic ? length : sizeof magic) != 0)
        return SEGMENT_BAD;
    if (length < SEGMENT_HEAD_BYTES)
        return SEGMENT_SHORT;
    if (!head_is_good(bytes, segment))
        return SEGMENT_BAD;
    record->flag = bytes[36];
    record->label_length = bytes[37];
    record->body_length = (size_t)get_number(bytes + 32, 4);
    *size = segment_record_bytes(record);
    if (length < *size)
        return SEGMENT_SHORT;
    if (get_number(bytes + 8, 8) != checksum(bytes + 16, *size - 16, segment))
        return SEGMENT_BAD;
    memcpy(record->id, bytes + 16, UUID_BYTES);
    record->label = (const char *)bytes + SEGMENT_HEAD_BYTES;
    record->body = record->label + record->label_length;
    return SEGMENT_GOOD;
}

size_t segment_find_magic(const uint8_t *bytes, size_t length, size_t from)
{
    while (from < length) {
        const uint8_t *first = memchr(bytes + from, magic[0], length - from);
        size_t left;

        if (!first)
            return length;
        from = (size_t)(first - bytes);
        left = length - from;
        if (memcmp(first, magic, left < sizeof magic ? left : sizeof magic) == 0)
            return from;
        from++;
    }
    return length;
}
