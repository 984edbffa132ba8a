/*
 * SPDX-License-Identifier: ISC
 *
 * The check of FastCGI records. A record is version, type, request id (2 bytes), length of the content (2), length of
 * the padding, a reserved byte, then content and padding. Numbers are big-endian. The content of all PARAMS records
 * together is a sequence of pairs: length of the name, length of the value, name, value. A length is one byte below
 * 128, else four of which the highest bit is set.
 */
#include <config.h>

#include "intake/fcgi_check.h"

#include <stdbool.h>

#define RECORD_HEADER_BYTES 8u
#define BEGIN_BYTES 8u
#define ROLE_RESPONDER 1

/* The types of records that a front may send in a request. */
enum { TYPE_BEGIN = 1, TYPE_ABORT = 2, TYPE_PARAMS = 4, TYPE_STDIN = 5 };

enum fcgi_expects { EXPECTS_BEGIN = 0, EXPECTS_PARAMS, EXPECTS_STDIN, EXPECTS_NOTHING };

struct fcgi_record {
    uint8_t type;
    uint16_t id;
    size_t content_bytes;
    size_t all_bytes; /* with header and padding */
};

static struct fcgi_record parse_record_header(const uint8_t *bytes)
{
    struct fcgi_record record = {.type = bytes[1],
                                 .id = (uint16_t)(bytes[2] << 8 | bytes[3]),
                                 .content_bytes = (size_t)(bytes[4] << 8 | bytes[5])};

    record.all_bytes = RECORD_HEADER_BYTES + record.content_bytes + bytes[6];
    return record;
}

/*
 * Returns whether the record may come next. One without content, and BEGIN_REQUEST, has no padding: libfcgi would read
 * it as the header of the next record.
 */
static bool record_is_expected(const struct fcgi_check *check, const struct fcgi_record *record)
{
    bool is_padded = record->all_bytes > RECORD_HEADER_BYTES + record->content_bytes;

    if (is_padded && (record->content_bytes == 0 || record->type == TYPE_BEGIN))
        return false;
    switch (check->expects) {
    case EXPECTS_BEGIN:
        return record->type == TYPE_BEGIN && record->id != 0 && record->content_bytes == BEGIN_BYTES;
    case EXPECTS_PARAMS:
        return record->type == TYPE_PARAMS && record->id == check->id &&
               check->end + record->all_bytes <= FCGI_HEAD_BYTES;
    default: /* EXPECTS_STDIN */
        return (record->type == TYPE_STDIN || record->type == TYPE_ABORT) && record->id == check->id;
    }
}

/* Reads one of the two lengths of a pair, of which SIZE bytes are there. Returns its bytes, 0 when some are missing. */
static size_t parse_length(const uint8_t *bytes, size_t size, size_t *length)
{
    if (size == 0)
        return 0;
    if (bytes[0] < 0x80) {
        *length = bytes[0];
        return 1;
    }
    if (size < 4)
        return 0;
    *length = (size_t)(bytes[0] & 0x7f) << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    return 4;
}

/*
 * Reads both lengths of a pair. Returns their bytes, 0 when some are missing. *PAIR is the length of name and value;
 * one that no head can hold is refused at once by the caller.
 */
static size_t parse_pair_lengths(const uint8_t *bytes, size_t size, size_t *pair)
{
    size_t name, value, used = parse_length(bytes, size, &name), more;

    if (used == 0)
        return 0;
    more = parse_length(bytes + used, size - used, &value);
    if (more == 0)
        return 0;
    *pair = name + value;
    return used + more;
}

/* The lengths of a pair that began in an earlier record: takes one byte more of them. Returns false when the pair is
 * too long. */
static bool check_length_byte(struct fcgi_check *check, uint8_t byte)
{
    size_t pair;

    check->lengths[check->lengths_count++] = byte;
    if (parse_pair_lengths(check->lengths, check->lengths_count, &pair) == 0)
        return true;
    check->lengths_count = 0;
    check->pair_bytes_left = pair;
    return pair <= FCGI_HEAD_BYTES;
}

/* Walks over the pairs in the content of a PARAMS record. Returns false when one is too long for any head. */
static bool check_pairs(struct fcgi_check *check, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t step = check->pair_bytes_left < size ? check->pair_bytes_left : size;

        if (step > 0)
            check->pair_bytes_left -= step;
        else if (check->lengths_count == 0 && (step = parse_pair_lengths(bytes, size, &check->pair_bytes_left)) > 0)
            ;
        else if (check_length_byte(check, *bytes))
            step = 1;
        else
            return false;
        if (check->pair_bytes_left > FCGI_HEAD_BYTES)
            return false;
        bytes += step;
        size -= step;
    }
    return true;
}

static bool check_begin(struct fcgi_check *check, const struct fcgi_record *record, const uint8_t *content)
{
    check->id = record->id;
    check->expects = EXPECTS_PARAMS;
    return (content[0] << 8 | content[1]) == ROLE_RESPONDER;
}

static bool check_params(struct fcgi_check *check, const struct fcgi_record *record, const uint8_t *content)
{
    if (record->content_bytes > 0)
        return check_pairs(check, content, record->content_bytes);
    check->expects = EXPECTS_STDIN;
    return check->lengths_count == 0 && check->pair_bytes_left == 0;
}

/* Checks the content of a record that may come here. Returns false when it is refused. */
static bool check_content(struct fcgi_check *check, const struct fcgi_record *record, const uint8_t *content)
{
    switch (record->type) {
    case TYPE_BEGIN:
        return check_begin(check, record, content);
    case TYPE_PARAMS:
        return check_params(check, record, content);
    default:
        if (record->type == TYPE_STDIN)
            check->body_bytes += record->content_bytes;
        if (record->type == TYPE_ABORT || record->content_bytes == 0)
            check->expects = EXPECTS_NOTHING;
        return true;
    }
}

enum fcgi_checked fcgi_check(struct fcgi_check *check, const uint8_t *bytes, size_t length)
{
    while (check->expects != EXPECTS_NOTHING && length > check->end) {
        const uint8_t *at = bytes + check->end;
        size_t left = length - check->end;
        struct fcgi_record record;

        if (at[0] != 1) /* the version */
            return FCGI_CHECKED_BROKEN;
        if (left < RECORD_HEADER_BYTES)
            break;
        record = parse_record_header(at);
        if (!record_is_expected(check, &record))
            return FCGI_CHECKED_BROKEN;
        if (left < record.all_bytes)
            break;
        if (!check_content(check, &record, at + RECORD_HEADER_BYTES))
            return FCGI_CHECKED_BROKEN;
        check->end += record.all_bytes;
    }
    if (check->expects == EXPECTS_NOTHING)
        return FCGI_CHECKED_WHOLE;
    return check->expects == EXPECTS_STDIN ? FCGI_CHECKED_HEAD : FCGI_CHECKED_NO_HEAD;
}
