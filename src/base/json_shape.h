/*
 * SPDX-License-Identifier: ISC
 *
 * All that the responder looks for in a body: whether it is visibly one whole JSON object. A scan of depth and quotes,
 * no parser.
 */
#ifndef CANDHOOK_JSON_SHAPE_H
#define CANDHOOK_JSON_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * Returns whether BODY is, from its first brace to its last, one object: braces and brackets balance outside of
 * strings, and only JSON white space (and a UTF-8 BOM in front) stands around it. BODY may be NULL when LENGTH is 0.
 */
bool json_shape_is_object(const char *body, size_t length);

/*
 * Skips a JSON string: AT is behind its opening quote. Returns the address behind its closing quote, or NULL when the
 * string does not end before END.
 */
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
