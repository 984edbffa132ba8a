/*
 * SPDX-License-Identifier: ISC
 *
 * Sample events: one of every documented type, built into the program from src/fixtures, and changing a member of one.
 */
#ifndef CANDHOOK_SAMPLE_H
#define CANDHOOK_SAMPLE_H

#include <stddef.h>

#include "err.h"

struct sample {
    const char *type;
    const char *body; /* a JSON object */
};

/* All of them; the last one's type is NULL. */
extern const struct sample samples[];

/* The sample of the type, or NULL. */
const struct sample *sample_find(const char *type);

/*
 * Gives in *OUT (to be freed) the JSON object BODY changed by COUNT assignments "PATH=VALUE", in their order. PATH is
 * names joined by dots, and indexes of arrays as numbers; objects that are missing on the way are made. VALUE is JSON
 * if it can be read as JSON, else a string. RESULT_FAIL when BODY is no JSON object or an assignment has no place in
 * it.
 */
MUST_CHECK enum result sample_change(const char *body, char *const *assignments, size_t count, char **out,
                                     struct err *err);

#endif
