/*
 * SPDX-License-Identifier: ISC
 *
 * An event's JSON: taking a body apart into the columns of its row, which is also judging whether it has the shape that
 * the platform documents; looking up a value; changing one. The only module that knows cJSON.
 */
#ifndef CANDHOOK_EVENT_H
#define CANDHOOK_EVENT_H

#include "base/err.h"

#include <stddef.h>

#define EVENT_ID_BYTES 255     /* longest module, type and context id */
#define EVENT_EXPONENT_MAX 400 /* |exponent| of a number; 1e131071 would be 128 KiB of digits in the database */
#define EVENT_NESTING_MAX 1000

enum event_context_id {
    EVENT_ORIGIN_COMMUNITY_ID,
    EVENT_USER_ID,
    EVENT_COMMUNITY_ID,
    EVENT_PROFILE_ID,
    EVENT_CONTEXT_IDS /* how many */
};

/* What the row of an event is made of. All texts are UTF-8 without a NUL in them. */
struct event {
    char *module, *type;
    char *context_ids[EVENT_CONTEXT_IDS]; /* NULL: missing or null */
    const char *payload; /* inside the body, byte for byte as it came, and so valid no longer than it */
    size_t payload_length;
    char *extra; /* a JSON object: what is in the body beyond the rest of this; mostly NULL, for nothing */
};

/*
 * RESULT_OK with *EVENT, to be freed by event_free, when BODY is an event; RESULT_FAIL with the reason, a line for
 * people ("context is not an object"), when it is malformed. Names are case-sensitive and compared without their
 * escapes, the last of equal names counts, a BOM in front is tolerated, text after the object is an error, nesting is
 * bounded, module and type are non-empty strings, context and payload are objects, context ids are strings, null or
 * missing. All of the body is UTF-8, with no control characters but white space between the members, and with no NUL,
 * not even as \u0000.
 *
 * Extra has the members that no column takes, in the bytes that they came in, and as its context those of the context:
 * an id that is null among them, so that it can be told from a missing one. Of equal names there the last counts.
 */
MUST_CHECK enum result event_read(const char *body, size_t length, struct event *event, struct err *why);

/* Frees what event_read made, also when it failed. */
void event_free(struct event *event);

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
