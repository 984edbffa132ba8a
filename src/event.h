/*
 * SPDX-License-Identifier: ISC
 *
 * What makes a body an event: the shape that the platform documents, judged with cJSON. The only module that knows
 * cJSON. PostgreSQL's jsonb judges again when the body is recorded and is what extracts the columns, so this module
 * says yes or no and why, nothing else.
 */
#ifndef CANDHOOK_EVENT_H
#define CANDHOOK_EVENT_H

#include <stddef.h>

#include "err.h"

#define EVENT_ID_BYTES 255    /* longest module, type and context id */
#define EVENT_EXPONENT_MAX 400 /* |exponent| of a number; 1e131071 would be 128 KiB of digits in the database */

/*
 * RESULT_OK when BODY is an event; RESULT_FAIL with the reason, a line for people ("context is not an object"), when it
 * is malformed. Names are case-sensitive, the last of equal names counts, a BOM in front is tolerated, text after the
 * object is an error, nesting is bounded, module and type are non-empty strings, context and payload are objects,
 * context ids are strings, null or missing.
 */
MUST_CHECK enum result event_check(const char *body, size_t length, struct err *why);

/*
 * The value at PATH of a JSON object, names joined by dots and indexes of arrays as numbers ("purchases.0.id"): a
 * string's text, the JSON of anything else, allocated. NULL when it is missing or null.
 */
char *event_value(const char *object, const char *path);

#endif
