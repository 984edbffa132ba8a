/*
 * SPDX-License-Identifier: ISC
 *
 * A list of OAuth2 scopes, and the webhook scopes that a handler's patterns of module and type need.
 */
#ifndef CANDHOOK_SCOPES_H
#define CANDHOOK_SCOPES_H

#include <stdbool.h>
#include <stddef.h>

#define SCOPES_MODULE "MOIM" /* the only module that the platform documents */

/* In the order of their bytes, each once. Begins as {0}. */
struct scopes {
    char **names;
    size_t count;
};

/* Adds a scope unless it is there. Returns false when NAME cannot be one: it is empty, or has a blank, a quote or such.
 */
bool scopes_add(struct scopes *scopes, const char *name);

void scopes_free(struct scopes *scopes);

/* Adds each word of TEXT. Returns false when one cannot be a scope; those before it are added. */
bool scopes_add_words(struct scopes *scopes, const char *text);

/* Returns the scopes with blanks between them, allocated; NULL when there is none. */
char *scopes_join(const struct scopes *scopes);

/* What patterns leave open: flags, to be combined with |. */
enum scopes_open {
    SCOPES_OPEN_MODULE = 1,   /* the module is *: added as for SCOPES_MODULE; there may be other modules */
    SCOPES_OPEN_TYPE = 2,     /* the type is *: added for all documented areas; there may be others */
    SCOPES_UNKNOWN_AREAS = 4, /* the type is *, and no area of this module is documented: nothing was added */
    SCOPES_NOT_A_SCOPE = 8    /* module or type have a byte that a scope must not have: nothing was added */
};

/* The areas of SCOPES_MODULE that the platform documents; ends with NULL. */
extern const char *const scopes_documented_areas[];

/* How the names of webhook scopes are made: the settings of these names. */
struct scopes_rule {
    const char *webhook_scope; /* {module} and {area} in it are replaced; the area is the type up to its first dot, */
    const char *webhook_areas; /* unless "TYPE=AREA TYPE=AREA" has another one for that */
};

/* The scopes that handlers need. Begins with the rule; SCOPES may hold others already, and is the caller's to free. */
struct scopes_needed {
    struct scopes_rule rule;
    struct scopes scopes;
    unsigned open; /* flags of enum scopes_open */
};

/* Adds the scopes that a handler of these patterns needs: for store_wanted. CONTEXT is a struct scopes_needed. */
void scopes_add_needed(void *context, const char *module, const char *type);

#endif
