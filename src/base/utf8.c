/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/utf8.h"

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Returns the length of the character at AT, of which LEFT bytes are there; 0 when it is none. */
static size_t utf8_character_length(const unsigned char *at, size_t left)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

/* Whether the eight bytes at AT are all ASCII. */
static bool are_eight_ascii(const char *at)
{
    uint64_t eight;

    memcpy(&eight, at, sizeof eight);
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

size_t utf8_span(const char *bytes, size_t length)
{
    size_t at = 0, step;

    while (at < length) {
        if (length - at >= sizeof(uint64_t) && are_eight_ascii(bytes + at))
            step = sizeof(uint64_t);
        else
            step = utf8_character_length((const unsigned char *)bytes + at, length - at);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

char *utf8_copy(const char *text)
{
    char *copy = memory_copy_text(text), *at = copy, *end = copy != NULL ? copy + strlen(copy) : NULL;

    while (at < end) {
        size_t good = utf8_span(at, (size_t)(end - at));

        at += good;
        if (at < end)
            *at++ = '?';
    }
    return copy;
}
