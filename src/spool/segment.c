/*
 * SPDX-License-Identifier: ISC
 *
 * The format of a segment. All numbers are little-endian and unsigned; nothing is aligned; nothing depends on the
 * compiler or the machine. The file is <uuid>.seg, and the uuid in its name is the segment's generation.
 *
 *   header      0   8   "CANDHOOK"
 *               8   4   version of the format: 2
 *              12   4   length of the header: 40
 *              16  16   the segment's uuid
 *              32   8   checksum of the 32 bytes before
 *
 *   record      0   4   magic number: f5 63 48 ff (f5 and ff occur in no UTF-8 text)
 *               4   4   header check: lower half of the checksum of bytes 8 to 39
 *               8   8   checksum of all bytes from 16 to the end of the body
 *              16  16   the event's id
 *              32   4   length of the body
 *              36   1   flag (enum segment_flag)
 *              37   3   0
 *              40       body
 *
 * Zeros may follow the last record: room that the writer allocated ahead. A record with the flag SEGMENT_SEAL and no
 * body ends a segment that was closed in good order; bytes after it mean nothing.
 *
 * Every checksum is XXH3 (64 bits) seeded with the generation. So bytes that another segment left on the disk never
 * pass for records of this one, and neither does a body that imitates a record. The header check lets a reader refuse a
 * false magic number after 40 bytes, without following its length.
 */
#include <config.h>

#include "spool/segment.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT_VERSION 2

static const uint8_t header_magic[8] = "CANDHOOK";
static const uint8_t record_magic[4] = {0xf5, 0x63, 0x48, 0xff};

static void put_little_endian(uint8_t *to, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_little_endian(const uint8_t *from, int bytes)
{
    uint64_t number = 0;

    for (int i = bytes; i-- > 0;)
        number = number << 8 | from[i];
    return number;
}

static uint64_t segment_checksum(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES])
{
    return XXH3_64bits_withSeed(bytes, length, get_little_endian(segment, 8) ^ get_little_endian(segment + 8, 8));
}

const char *segment_name(const uint8_t segment[UUID_BYTES], const char *suffix, char name[SEGMENT_NAME_BYTES])
{
    char text[UUID_TEXT];

    snprintf(name, SEGMENT_NAME_BYTES, "%s%.4s", uuid_text(segment, text), suffix);
    return name;
}

bool segment_parse_name(const char *name, const char *suffix, uint8_t segment[UUID_BYTES])
{
    char text[SEGMENT_NAME_BYTES];

    if (strlen(name) != SEGMENT_NAME_BYTES - 1)
        return false;
    memcpy(text, name, UUID_TEXT - 1);
    text[UUID_TEXT - 1] = '\0';
    return uuid_parse(text, segment) && strcmp(segment_name(segment, suffix, text), name) == 0;
}

void segment_put_header(uint8_t to[SEGMENT_HEADER_BYTES], const uint8_t segment[UUID_BYTES])
{
    memcpy(to, header_magic, sizeof header_magic);
    put_little_endian(to + 8, FORMAT_VERSION, 4);
    put_little_endian(to + 12, SEGMENT_HEADER_BYTES, 4);
    memcpy(to + 16, segment, UUID_BYTES);
    put_little_endian(to + 32, segment_checksum(to, 32, segment), 8);
}

bool segment_has_header(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES])
{
    uint8_t wanted[SEGMENT_HEADER_BYTES];

    segment_put_header(wanted, segment);
    return length >= sizeof wanted && memcmp(bytes, wanted, sizeof wanted) == 0;
}

size_t segment_record_bytes(const struct segment_record *record)
{
    return SEGMENT_RECORD_HEADER_BYTES + record->body_length;
}

size_t segment_put_record(uint8_t *to, const uint8_t segment[UUID_BYTES], const struct segment_record *record)
{
    size_t size = segment_record_bytes(record);

    memcpy(to, record_magic, sizeof record_magic);
    memcpy(to + 16, record->id, UUID_BYTES);
    put_little_endian(to + 32, record->body_length, 4);
    to[36] = (uint8_t)record->flag;
    to[37] = to[38] = to[39] = 0;
    if (record->body_length > 0)
        memcpy(to + SEGMENT_RECORD_HEADER_BYTES, record->body, record->body_length);
    put_little_endian(to + 8, segment_checksum(to + 16, size - 16, segment), 8);
    put_little_endian(to + 4, segment_checksum(to + 8, SEGMENT_RECORD_HEADER_BYTES - 8, segment) & UINT32_MAX, 4);
    return size;
}

/* The fields are checked even when the header check is right: a program with a bug may have written them. */
static bool is_record_header(const uint8_t *header, const uint8_t segment[UUID_BYTES])
{
    uint64_t check = segment_checksum(header + 8, SEGMENT_RECORD_HEADER_BYTES - 8, segment) & UINT32_MAX;

    return get_little_endian(header + 4, 4) == check && get_little_endian(header + 32, 4) <= SEGMENT_BODY_BYTES &&
           header[36] <= SEGMENT_SEAL && header[37] == 0 && header[38] == 0 && header[39] == 0;
}

enum segment_found segment_get_record(const uint8_t *bytes, size_t length, const uint8_t segment[UUID_BYTES],
                                      struct segment_record *record, size_t *size)
{
    *size = SEGMENT_RECORD_HEADER_BYTES;
    if (memcmp(bytes, record_magic, length < sizeof record_magic ? length : sizeof record_magic) != 0)
        return SEGMENT_BAD;
    if (length < SEGMENT_RECORD_HEADER_BYTES)
        return SEGMENT_SHORT;
    if (!is_record_header(bytes, segment))
        return SEGMENT_BAD;
    record->flag = bytes[36];
    record->body_length = (size_t)get_little_endian(bytes + 32, 4);
    *size = segment_record_bytes(record);
    if (length < *size)
        return SEGMENT_SHORT;
    if (get_little_endian(bytes + 8, 8) != segment_checksum(bytes + 16, *size - 16, segment))
        return SEGMENT_BAD;
    memcpy(record->id, bytes + 16, UUID_BYTES);
    record->body = (const char *)bytes + SEGMENT_RECORD_HEADER_BYTES;
    return SEGMENT_GOOD;
}

size_t segment_find_magic(const uint8_t *bytes, size_t length, size_t from)
{
    while (from < length) {
        const uint8_t *first = memchr(bytes + from, record_magic[0], length - from);
        size_t left;

        if (first == NULL)
            return length;
        from = (size_t)(first - bytes);
        left = length - from;
        if (memcmp(first, record_magic, left < sizeof record_magic ? left : sizeof record_magic) == 0)
            return from;
        from++;
    }
    return length;
}
