/*
 * SPDX-License-Identifier: ISC
 *
 * Sample events, one of every documented type. They are compiled in from the fixtures of this folder.
 */
#ifndef CANDHOOK_SAMPLE_H
#define CANDHOOK_SAMPLE_H

struct sample {
    const char *type;
    const char *body; /* a JSON object */
};

/* Ends with one whose type is NULL. */
extern const struct sample samples[];

/* Returns the sample of TYPE, or NULL when there is none. */
const struct sample *sample_find(const char *type);

#endif
