/*
 * SPDX-License-Identifier: ISC
 *
 * The responder's only look at a body: is it visibly one whole JSON object? A scan of depth and quotes, no parser.
 */
#ifndef CANDHOOK_BODY_H
#define CANDHOOK_BODY_H

#include <stddef.h>

/*
 * Whether BODY is, from its first brace to its last, one object: braces and brackets balance outside of strings, and
 * only JSON white space (and a UTF-8 BOM in front) stands around it. Returns 1 or 0.
 */
int body_is_whole(const char *body, size_t length);

/* From behind a JSON string's first quote to behind its last; NULL when it does not end before END. */
const char *body_skip_string(const char *at, const char *end);

#endif
