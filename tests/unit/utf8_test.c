/*
 * SPDX-License-Identifier: ISC
 *
 * utf8.c: which bytes are UTF-8, at every position within the eight that are checked at once.
 */
#include <config.h>

#include "base/utf8.h"

#include <stdlib.h>

#include "tap.h"

struct sample {
    const char *bytes;
    int good;
};

static const struct sample samples[] = {
    {"\x7f", 1},
    {"\xc2\x80", 1},
    {"\xdf\xbf", 1},
    {"\xe0\xa0\x80", 1},
    {"\xed\x9f\xbf", 1},
    {"\xee\x80\x80", 1},
    {"\xf0\x90\x80\x80", 1},
    {"\xf4\x8f\xbf\xbf", 1},

    {"\x80", 0},
    {"\xc3", 0},
    {"\xc3(", 0},
    {"\xc0\x80", 0},         /* not the shortest form */
    {"\xc1\xbf", 0},         /* nor this */
    {"\xe0\x9f\xbf", 0},     /* nor this */
    {"\xf0\x8f\xbf\xbf", 0}, /* nor this */
    {"\xed\xa0\x80", 0},     /* a surrogate */
    {"\xed\xbf\xbf", 0},     /* a surrogate */
    {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", 0},
    {"\xff", 0},
    {"\xe2\x82", 0},
    {"\xf0\x9f\x98", 0},
};

/* Behind AT bytes of ASCII, and before some. */
static int judges(const struct sample *sample, size_t at)
{
    static const char ascii[] = "abcdefghijklmnop";
    size_t length = strlen(sample->bytes);
    char text[64];

    snprintf(text, sizeof text, "%.*s%s%s", (int)at, ascii, sample->bytes, ascii);
    return utf8_span(text, strlen(text)) == (sample->good ? strlen(text) : at) &&
           utf8_span(text, at + length) == (sample->good ? at + length : at);
}

int main(void)
{
    char *copy;

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        int right = 1;

        for (size_t at = 0; at <= 16; at++)
            right = right && judges(&samples[i], at);
        ok(right, "sample %zu is %s", i, samples[i].good ? "UTF-8" : "not UTF-8");
    }
    ok(utf8_span("a\0b", 3) == 3, "a NUL is a character");
    ok(utf8_span("", 0) == 0, "nothing is UTF-8");
    copy = utf8_copy("a\xff\xc3\xa4\xe2\x82");
    is_text(copy, "a?\xc3\xa4??", "a copy has a question mark for each other byte");
    free(copy);
    ok(utf8_copy(NULL) == NULL, "NULL stays NULL");
    return done();
}
