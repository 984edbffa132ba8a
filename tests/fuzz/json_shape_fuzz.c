/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the body scan against a second one, which is written to be plain and not to be fast.
 */
#include <config.h>

#include "base/json_shape.h"

#include "fuzz.h"

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the object ends that begins at AT, or 0. */
static size_t object_end(const char *text, size_t at, size_t size)
{
    int in_string = 0, escaped = 0;
    size_t depth = 0;

    for (; at < size; at++) {
        char c = text[at];

        if (in_string) {
            if (!escaped && c == '"')
                in_string = 0;
            escaped = !escaped && c == '\\';
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (--depth == 0)
                return c == '}' ? at + 1 : 0;
        }
    }
    return 0;
}

static int plainly_whole(const char *text, size_t size)
{
    size_t at = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    while (at < size && is_space(text[at]))
        at++;
    if (at == size || text[at] != '{')
        return 0;
    at = object_end(text, at, size);
    while (at > 0 && at < size && is_space(text[at]))
        at++;
    return at == size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    must(json_shape_is_object(text, size) == plainly_whole(text, size));
    return 0;
}

static const char *const fuzz_seeds[] = {
    "{\"a\":{\"b\":[1,{\"c\":\"}]\"}],\"d\":\"\\\"\\\\\\\\\\\"{[\"},\"\":\"\\\\\"}",
    "\xef\xbb\xbf\r\n\t {\"a\":[]} \r\n",
    "{}",
    "{\"\\\\\\\\\\\\\\\"\\\"\\\\\":\"\"}",
    "",
};

FUZZ_MAIN
