/*
 * SPDX-License-Identifier: ISC
 *
 * The check of FastCGI records: what is a request, when it is whole, and what is refused. What a front never sends is
 * sent to the responder itself by tests/fastcgi.t.
 */
#include <config.h>

#include "intake/fcgi_check.h"

#include <string.h>

#include "tap.h"

static uint8_t bytes[512 * 1024];
static size_t length;

/* Appends a record with the padding to the request. */
static void put_record(int type, int id, const void *content, size_t size, int padding)
{
    const uint8_t header[8] = {
        1, (uint8_t)type, (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(size >> 8), (uint8_t)size, (uint8_t)padding};

    memcpy(bytes + length, header, sizeof header);
    memcpy(bytes + length + 8, content, size);
    memset(bytes + length + 8 + size, 0xee, (size_t)padding);
    length += 8 + size + (size_t)padding;
}

static void put_begin(void)
{
    length = 0;
    put_record(1, 258, "\0\1\0\0\0\0\0\0", 8, 0);
}

static enum fcgi_checked check_all(void)
{
    struct fcgi_check check = {0};

    return fcgi_check(&check, bytes, length);
}

/* Whether each beginning of the request is judged as it must be, at once and in steps of one byte. */
static int all_prefixes_fine(size_t head, size_t whole)
{
    struct fcgi_check steps = {0};

    for (size_t i = 0; i <= whole; i++) {
        enum fcgi_checked expected = i < head    ? FCGI_CHECKED_NO_HEAD
                                     : i < whole ? FCGI_CHECKED_HEAD
                                                 : FCGI_CHECKED_WHOLE;
        struct fcgi_check once = {0};

        if (fcgi_check(&once, bytes, i) != expected || fcgi_check(&steps, bytes, i) != expected)
            return 0;
    }
    return steps.end == whole;
}

static void test_whole(void)
{
    static const char pairs[] = "\1\2nvw\0\0\4\200\0\0\3nameabc\200\0\0\1\0x\3\0one";
    struct fcgi_check check = {0};
    size_t head;

    put_begin();
    put_record(4, 258, pairs, sizeof pairs - 1, 5);
    put_record(4, 258, "", 0, 0);
    head = length;
    put_record(5, 258, "{\"a\":1}", 7, 1);
    put_record(5, 258, "", 0, 0);
    ok(all_prefixes_fine(head, length), "each beginning of a request is told from the whole");
    ok(fcgi_check(&check, bytes, length + 9) == FCGI_CHECKED_WHOLE && check.end == length,
       "what stands behind it is not looked at");
    ok(check.body_bytes == 7, "the body's bytes are counted");
    put_begin();
    for (size_t i = 0; i < sizeof pairs - 1; i++)
        put_record(4, 258, pairs + i, 1, (int)i);
    put_record(4, 258, "", 0, 0);
    head = length;
    put_record(5, 258, "{", 1, 0);
    put_record(2, 258, "", 0, 0);
    ok(all_prefixes_fine(head, length), "so it is with a record for each byte, and an abort at the end");
    put_begin();
    put_record(4, 258, "", 0, 0);
    ok(check_all() == FCGI_CHECKED_HEAD, "a request may have no parameters");
}

static void is_broken(const char *name)
{
    ok(check_all() == FCGI_CHECKED_BROKEN, "%s is refused", name);
}

static void test_records(void)
{
    put_begin();
    bytes[0] = 2;
    length = 1;
    is_broken("another version, by its first byte,");
    length = 0;
    put_record(1, 0, "\0\1\0\0\0\0\0\0", 8, 0);
    is_broken("request id 0");
    length = 0;
    put_record(1, 1, "\0\2\0\0\0\0\0\0", 8, 0);
    is_broken("another role");
    length = 0;
    put_record(1, 1, "\0\1", 2, 0);
    is_broken("a short BEGIN_REQUEST");
    length = 0;
    put_record(4, 1, "", 0, 0);
    is_broken("PARAMS first");
    for (int type = 0; type < 256; type++) {
        put_begin();
        put_record(type, 258, "", 0, 0);
        if (type != 4 && check_all() != FCGI_CHECKED_BROKEN)
            break;
        put_record(4, 258, "", 0, 0);
        put_record(type, 258, "", 0, 0);
        if (type != 4 && type != 2 && type != 5 && check_all() != FCGI_CHECKED_BROKEN)
            break;
        if (type == 255)
            ok(1, "any type in a wrong place is refused");
    }
    length = 0;
    put_record(1, 1, "\0\1\0\0\0\0\0\0", 8, 1);
    is_broken("a padding that libfcgi does not skip");
    put_begin();
    put_record(4, 258, "", 0, 1);
    is_broken("another one");
    put_begin();
    put_record(4, 259, "", 0, 0);
    is_broken("PARAMS of another request");
    put_begin();
    put_record(4, 258, "", 0, 0);
    put_record(5, 259, "", 0, 0);
    is_broken("STDIN of another request");
}

/* Ends the parameters behind one record with this content. */
static void put_params(const void *content, size_t size)
{
    put_begin();
    put_record(4, 258, content, size, 0);
    put_record(4, 258, "", 0, 0);
}

static void test_lengths(void)
{
    static uint8_t large[65535] = {1, 0xc0};

    put_params("\5\5abc", 5);
    is_broken("a pair beyond the parameters");
    put_params("\1", 1);
    is_broken("one length without the other");
    put_params("\200\0", 2);
    is_broken("half a length");
    put_begin();
    put_record(4, 258, "\377\377\377\377\377\377\377\377", 8, 0);
    is_broken("a pair of 4 GiB");
    put_begin();
    put_record(4, 258, "\377\377\377\377\377\377\377", 7, 0);
    ok(check_all() == FCGI_CHECKED_NO_HEAD, "of which one byte is missing,");
    put_record(4, 258, "\377", 1, 0);
    is_broken("and then comes,");
    put_begin();
    put_record(4, 258, "\200\2\0\1\0", 5, 0);
    is_broken("a name that is longer than a head");
    memcpy(large, "\200\1\377\370\0", 5); /* a name of 2 * 65532 bytes */
    put_begin();
    put_record(4, 258, large, sizeof large, 0);
    ok(check_all() == FCGI_CHECKED_NO_HEAD, "one of nearly its length is awaited");
    put_record(4, 258, large, sizeof large, 0);
    is_broken("a head that is too large");
}

int main(void)
{
    test_whole();
    test_records();
    test_lengths();
    return done();
}
