/*
 * SPDX-License-Identifier: ISC
 *
 * The responder's only look at a body: is it visibly one whole JSON object? A scan of depth and quotes, no parser.
 */
#ifndef CANDHOOK_JSON_SHAPE_H
#define CANDHOOK_JSON_SHAPE_H

#include <stddef.h>
#include <string.h>

/*
 * Whether BODY is, from its first brace to its last, one object: braces and brackets balance outside of strings, and
 * only JSON white space (and a UTF-8 BOM in front) stands around it. Returns 1 or 0.
 */
int json_shape_is_object(const char *body, size_t length);

/* From behind a JSON string's first quote to behind its last; NULL when it does not end before END. */
static inline const char *json_shape_skip_string(const char *at, const char *end)
{
    const char *const start = at;
    const char *quote, *back;

    while ((quote = memchr(at, '"', (size_t)(end - at))) != NULL) {
        for (back = quote; back > start && back[-1] == '\\'; back--)
            ;
        at = quote + 1;
        if ((quote - back) % 2 == 0)
            return at;
    }
    return NULL;
}

#endif
