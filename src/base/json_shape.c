/*
 * SPDX-License-Identifier: ISC
 *
 * One pass that knows strings and depth, and nothing else of JSON: whether a bracket is closed by a brace, or what
 * stands between them, is event.c's to judge. A body that was cut off anywhere is never whole.
 */
#include <config.h>

#include "base/json_shape.h"

#include <string.h>

static const char *skip_json_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at;
}

/* Returns the address behind the brace that closes the one at AT; NULL when there is none. */
static const char *skip_json_object(const char *at, const char *end)
{
    size_t depth = 0;

    while (at != NULL && at < end) {
        switch (*at++) {
        case '"':
            at = json_shape_skip_string(at, end);
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
            if (--depth == 0)
                return at;
            break;
        case ']':
            if (--depth == 0)
                return NULL;
            break;
        default:
            break;
        }
    }
    return NULL;
}

bool json_shape_is_object(const char *body, size_t length)
{
    const char *at = body, *end;

    if (length == 0)
        return false;
    end = body + length;
    if (length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    at = skip_json_space(at, end);
    if (at == end || *at != '{')
        return false;
    at = skip_json_object(at, end);
    return at != NULL && skip_json_space(at, end) == end;
}
