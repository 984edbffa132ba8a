/*
 * SPDX-License-Identifier: ISC
 *
 * Texts in memory.
 */
#include <config.h>

#include "text.h"

#include <stdlib.h>
#include <string.h>

char *text_copy(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (text != NULL && copy == NULL)
        abort();
    return copy;
}

/* How many bytes the character at AT has, 0 when it is none (RFC 3629: shortest form, no surrogates, up to U+10FFFF).
 */
static size_t character_bytes(const unsigned char *at)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

char *text_copy_utf8(const char *text)
{
    char *copy = text_copy(text), *at = copy;

    while (at != NULL && *at != '\0') {
        size_t length = character_bytes((const unsigned char *)at);

        if (length == 0)
            *at = '?';
        at += length == 0 ? 1 : length;
    }
    return copy;
}
