/*
 * SPDX-License-Identifier: ISC
 *
 * Sample events: one of every documented type, built into the program from src/fixtures.
 */
#ifndef CANDHOOK_SAMPLE_H
#define CANDHOOK_SAMPLE_H

struct sample {
    const char *type;
    const char *body; /* a JSON object */
};

/* All of them; the last one's type is NULL. */
extern const struct sample samples[];

/* The sample of the type, or NULL. */
const struct sample *sample_find(const char *type);

#endif
