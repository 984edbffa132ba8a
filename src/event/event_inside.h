/*
 * SPDX-License-Identifier: ISC
 *
 * What the files of this folder share; nobody else includes this.
 */
#ifndef CANDHOOK_EVENT_INSIDE_H
#define CANDHOOK_EVENT_INSIDE_H

#include "event/event.h"

/* A copy of a body, which is written to; *end is NUL. Bytes keep their places. */
struct scan {
    char *start, *at, *end;
    struct err *why;
};

/* The place in the body as it is told to people: they count from 1. */
size_t event_place(const struct scan *scan, const char *at);

/* Judges all that needs no parser, and writes "0" and blanks over numbers. Gives in *OBJECT where the object begins. */
MUST_CHECK enum result event_scan(struct scan *scan, const char **object);

/* Makes cJSON end the program when memory runs out: a body must not look malformed for it. Call it before cJSON. */
void event_set_cjson_hooks(void);

static inline int event_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
