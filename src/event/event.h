/*
 * SPDX-License-Identifier: ISC
 *
 * An event's JSON: takes a body apart into the columns of its row, or says why it is not an event; looks up a value;
 * changes one.
 */
#ifndef CANDHOOK_EVENT_H
#define CANDHOOK_EVENT_H

#include "base/err.h"

#include <stddef.h>

#define EVENT_ID_BYTES 255     /* longest module, type and context id */
#define EVENT_EXPONENT_MAX 400 /* largest |exponent| of a number; PostgreSQL writes 1e131071 as 128 KiB of digits */
#define EVENT_NESTING_MAX 1000

enum event_context_id {
    EVENT_ORIGIN_COMMUNITY_ID,
    EVENT_USER_ID,
    EVENT_COMMUNITY_ID,
    EVENT_PROFILE_ID,
    EVENT_CONTEXT_IDS /* their number */
};

/* The columns of an event's row. All texts are UTF-8 without NUL characters. */
struct event {
    char *module, *type;
    char *context_ids[EVENT_CONTEXT_IDS]; /* NULL: missing or null */
    const char *payload; /* points into the body, whose bytes it is; not terminated, valid as long as the body is */
    size_t payload_length;
    char *extra; /* a JSON object: the members of the body that no other column takes; NULL: there are none */
};

/*
 * Takes BODY apart. RESULT_OK when it is an event. RESULT_FAIL when it is malformed, with the reason in WHY: a line for
 * people ("context is not an object"). EVENT is to be freed by event_free in both cases.
 *
 * An event is one JSON object. Names are case-sensitive and compared with their escapes decoded; of equal names the
 * last counts. A byte order mark in front is allowed, text after the object is not. Nesting and exponents are bounded.
 * module and type are non-empty strings, context and payload are objects, the ids of the context are strings, null or
 * missing. The whole body is UTF-8. It has no control characters but the white space between tokens, and no NUL, not
 * even as \u0000.
 *
 * Extra has the members that have no column, byte for byte. Members of the context that have no column are in its
 * member "context", ids that are null included: so a null id can be told from a missing one. When the body has two
 * members "context", only the last one counts here, too.
 */
MUST_CHECK enum result event_read(const char *body, size_t length, struct event *event, struct err *why);

/* Frees what event_read allocated. NULL is allowed. */
void event_free(struct event *event);

/*
 * Looks up the value at PATH in the JSON object OBJECT. PATH is names joined by dots, with numbers as the indexes of
 * arrays ("purchases.0.id"). Returns the text of a string or the JSON of any other value, allocated; NULL when the
 * value is missing or null.
 */
char *event_value(const char *object, const char *path);

/*
 * Applies COUNT assignments "PATH=VALUE", in this order, to the JSON object BODY. *OUT is the changed object,
 * allocated, or NULL on failure. PATH is as in event_value; objects that are missing on the way are made. VALUE is
 * taken as JSON if it is JSON by RFC 8259 (007 is not), else as a string. RESULT_FAIL when BODY is not a JSON object,
 * or an assignment has no "=", a path that cannot be followed, bytes that are not UTF-8, or a value in quotes that is
 * no string of JSON.
 */
MUST_CHECK enum result event_change(const char *body, char *const *assignments, size_t count, char **out,
                                    struct err *err);

#endif
