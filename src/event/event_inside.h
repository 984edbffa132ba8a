/*
 * SPDX-License-Identifier: ISC
 *
 * What the files of this folder share; nobody else includes this.
 */
#ifndef CANDHOOK_EVENT_INSIDE_H
#define CANDHOOK_EVENT_INSIDE_H

#include "event/event.h"

#include <stdbool.h>

/* A copy of a body that the scan may overwrite, byte by byte: offsets in it are offsets in the body. *end is NUL. */
struct scan {
    char *start, *at, *end;
    struct err *why;
};

/* Returns the number of the byte AT of the body as people are told it: the first is 1. */
size_t event_byte_number(const struct scan *scan, const char *at);

/* Checks what cJSON does not, and overwrites each number with "0" and blanks. *OBJECT is where the object begins. */
MUST_CHECK enum result event_scan(struct scan *scan, const char **object);

/*
 * Returns the end of the number at AT, or NULL when it does not follow the grammar of JSON. *EXPONENT is the magnitude
 * of its exponent, EVENT_EXPONENT_MAX + 1 for all that are larger.
 */
const char *event_number_end(const char *at, int *exponent);

/*
 * Makes cJSON end the program when there is no memory, where it would otherwise call a good body malformed. To be
 * called before any use of cJSON; more often does no harm.
 */
void event_set_cjson_hooks(void);

static inline bool event_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
