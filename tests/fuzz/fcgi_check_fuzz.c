/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the check of FastCGI records, and libfcgi with what passes it: it must accept each request, read the whole
 * body, and leave its descriptor open. Built for libFuzzer with --enable-fuzzing; else a test of its own that runs over
 * the files given, or over a seed that it makes itself, cut off and changed.
 */
#include <config.h>

#include "intake/fcgi_check.h"

#include <fcgiapp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_run.h"

/* libfcgi reads what passed the check, from a file that ends with it. */
static void read_by_libfcgi(const uint8_t *data, size_t size, const struct fcgi_check *check, bool whole)
{
    static int feed = -1;
    static char body[1 << 16];
    FCGX_Request request;
    size_t got = 0, more;

    if (feed < 0)
        feed = memfd_create("fuzz", MFD_CLOEXEC);
    must(FCGX_Init() == 0 && FCGX_InitRequest(&request, -1, 0) == 0);
    must(feed >= 0 && ftruncate(feed, 0) == 0 && pwrite(feed, data, size, 0) == (ssize_t)size);
    must(lseek(feed, 0, SEEK_SET) == 0);
    request.ipcFd = feed;
    request.keepConnection = 1;
    must(FCGX_Accept_r(&request) == 0 && FCGX_GetError(request.in) == 0);
    while ((more = (size_t)FCGX_GetStr(body, sizeof body, request.in)) > 0)
        got += more;
    must(whole ? got == check->body_bytes : got >= check->body_bytes);
    FCGX_Free(&request, 0);
}

/* The verdict is the same when the bytes come one at a time. */
static void check_piecewise(const uint8_t *data, size_t size, enum fcgi_checked expected, size_t end)
{
    struct fcgi_check check = {0};
    enum fcgi_checked checked = FCGI_CHECKED_NO_HEAD, before = checked;

    for (size_t i = 0; i <= size && checked != FCGI_CHECKED_BROKEN && checked != FCGI_CHECKED_WHOLE; i++) {
        checked = fcgi_check(&check, data, i);
        must(checked == FCGI_CHECKED_BROKEN || checked >= before);
        before = checked;
    }
    must(checked == expected && check.end == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fcgi_check check = {0};
    enum fcgi_checked checked = fcgi_check(&check, data, size);

    must(check.end <= size);
    if (size <= 4096)
        check_piecewise(data, size, checked, check.end);
    if (checked == FCGI_CHECKED_HEAD)
        read_by_libfcgi(data, size, &check, false);
    if (checked == FCGI_CHECKED_WHOLE)
        read_by_libfcgi(data, check.end, &check, true);
    return 0;
}

#ifndef CANDHOOK_FUZZING

#include "tap.h"

/* Puts a record, with a padding of three bytes where it may have one. Returns its length. */
static size_t put_fcgi_record(uint8_t *to, int type, const char *content, size_t size)
{
    size_t padding = type != 1 && size > 0 ? 3 : 0;
    const uint8_t header[8] = {1, (uint8_t)type, 0, 1, 0, (uint8_t)size, (uint8_t)padding};

    memcpy(to, header, sizeof header);
    memcpy(to + 8, content, size);
    memset(to + 8 + size, 0, padding);
    return 8 + size + padding;
}

static void run_seed(void)
{
    uint8_t bytes[512];
    struct fcgi_check check = {0};
    size_t length = put_fcgi_record(bytes, 1, "\0\1\1\0\0\0\0\0", 8);

    length += put_fcgi_record(bytes + length, 4, "\1\2nvw\4\200\0\0\3nam", 13);
    length += put_fcgi_record(bytes + length, 4, "eabc\3\0one", 9);
    length += put_fcgi_record(bytes + length, 4, "", 0);
    length += put_fcgi_record(bytes + length, 5, "{\"a\":", 5);
    length += put_fcgi_record(bytes + length, 5, "1}", 2);
    length += put_fcgi_record(bytes + length, 5, "", 0);
    ok(fcgi_check(&check, bytes, length) == FCGI_CHECKED_WHOLE && check.body_bytes == 7, "the seed is a request");
    for (size_t cut = 0; cut <= length; cut++)
        fuzz_run(bytes, cut);
    ok(1, "it is checked, cut off at any byte");
    for (size_t at = 0; at < length; at++) {
        uint8_t before = bytes[at];

        for (int value = 0; value < 256; value++) {
            bytes[at] = (uint8_t)value;
            fuzz_run(bytes, length);
        }
        bytes[at] = before;
    }
    ok(1, "and with any byte set to any value");
}

int main(int argc, char **argv)
{
    if (argc == 1)
        run_seed();
    for (int i = 1; i < argc; i++) {
        fuzz_file(argv[i]);
        ok(1, "%s", argv[i]);
    }
    return done();
}

#endif
