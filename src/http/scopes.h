/*
 * SPDX-License-Identifier: ISC
 *
 * A list of OAuth2 scopes, each once, and the webhook scopes that the enabled handlers need.
 */
#ifndef CANDHOOK_SCOPES_H
#define CANDHOOK_SCOPES_H

#include "base/err.h"
#include "store/store.h"

#include <stddef.h>

/* Begins as {0}. */
struct scopes {
    char **names;
    size_t count;
};

/* Adds a scope unless it is there. Returns 0, or -1 when it is none: it is empty, or holds a blank or such. */
int scopes_add(struct scopes *scopes, const char *name);

/*
 * Adds what the enabled handlers need, by TEMPLATE, in which {module} and {area} are replaced: the area is the part of
 * a type before the first dot. What their patterns leave open is said on stderr, as from VERB.
 */
MUST_CHECK enum result scopes_wanted(struct scopes *scopes, struct store *store, const char *template, const char *verb,
                                     struct err *err);

void scopes_free(struct scopes *scopes);

#endif
