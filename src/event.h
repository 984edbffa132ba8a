/*
 * SPDX-License-Identifier: ISC
 *
 * An event's JSON: judging whether a body has the shape that the platform documents, looking up a value, changing one.
 * The only module that knows cJSON. PostgreSQL's jsonb judges again when a body is recorded and is what extracts the
 * columns, so the judge says yes or no and why, nothing else.
 */
#ifndef CANDHOOK_EVENT_H
#define CANDHOOK_EVENT_H

#include <stddef.h>

#include "err.h"

#define EVENT_ID_BYTES 255     /* longest module, type and context id */
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

/*
 * Gives in *OUT (to be freed) the JSON object BODY changed by COUNT assignments "PATH=VALUE", in their order. PATH is
 * names joined by dots, and indexes of arrays as numbers; objects that are missing on the way are made. VALUE is JSON
 * if it can be read as JSON, else a string. RESULT_FAIL when BODY is no JSON object or an assignment has no place in
 * it.
 */
MUST_CHECK enum result event_change(const char *body, char *const *assignments, size_t count, char **out,
                                    struct err *err);

#endif
