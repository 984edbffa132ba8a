/*
 * SPDX-License-Identifier: ISC
 *
 * Is a body visibly one whole object? One pass that knows strings and depth, and nothing else of JSON: whether a
 * bracket is closed by a brace, or what stands between them, is event.c's to judge. What is cut off anywhere is never
 * whole.
 */
#include <config.h>

#include "base/json_shape.h"

#include <string.h>

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* From a first brace to behind the one that closes it; NULL when there is none. */
static const char *skip_object(const char *at, const char *end)
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

int json_shape_is_object(const char *body, size_t length)
{
    const char *at = body, *end;

    if (length == 0)
        return 0; /* BODY may be NULL */
    end = body + length;
    if (length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (at < end && is_space(*at))
        at++;
    if (at == end || *at != '{')
        return 0;
    at = skip_object(at, end);
    while (at != NULL && at < end && is_space(*at))
        at++;
    return at == end;
}
