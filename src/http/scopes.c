/*
 * SPDX-License-Identifier: ISC
 *
 * OAuth2 scopes. Modules and types are open sets, so a pattern * cannot be turned into all scopes that it means: it
 * stands for what is documented, and the caller is told.
 */
#include <config.h>

#include "http/scopes.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those of the sample events; a test compares them. */
const char *const scopes_documented_areas[] = {"content", "member",       "message", "payment",
                                               "product", "subscription", NULL};

/* RFC 6749, section 3.3: graphic characters without quote and backslash. */
static bool is_scope_name(const char *name)
{
    const char *at = name;

    while (*at > ' ' && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    return at > name && *at == '\0';
}

bool scopes_add(struct scopes *scopes, const char *name)
{
    size_t at = 0;

    if (!is_scope_name(name))
        return false;
    while (at < scopes->count && strcmp(scopes->names[at], name) < 0)
        at++;
    if (at < scopes->count && strcmp(scopes->names[at], name) == 0)
        return true;
    scopes->names = memory_resize(scopes->names, scopes->count + 1, sizeof *scopes->names);
    memmove(scopes->names + at + 1, scopes->names + at, (scopes->count - at) * sizeof *scopes->names);
    scopes->names[at] = memory_copy_text(name);
    scopes->count++;
    return true;
}

void scopes_free(struct scopes *scopes)
{
    for (size_t i = 0; i < scopes->count; i++)
        free(scopes->names[i]);
    free(scopes->names);
    *scopes = (struct scopes){0};
}

/* Returns the template filled in, allocated. The area is the beginning of TYPE. */
static char *fill_template(const char *template, const char *module, const char *type)
{
    size_t size;
    char *text;
    FILE *to = memory_open_stream(&text, &size);

    while (*template != '\0') {
        if (strncmp(template, "{module}", 8) == 0) {
            fputs(module, to);
            template += 8;
        } else if (strncmp(template, "{area}", 6) == 0) {
            fwrite(type, 1, strcspn(type, "."), to);
            template += 6;
        } else {
            putc(*template, to);
            template ++;
        }
    }
    memory_close_stream(to);
    return text;
}

static unsigned add_webhook_scope(struct scopes *scopes, const char *template, const char *module, const char *type)
{
    char *name = fill_template(template, module, type);
    bool added = scopes_add(scopes, name);

    free(name);
    return added ? 0 : SCOPES_NOT_A_SCOPE;
}

unsigned scopes_add_needed(struct scopes *scopes, const char *template, const char *module, const char *type)
{
    unsigned open = 0;

    if (strcmp(module, "*") == 0) {
        open |= SCOPES_OPEN_MODULE;
        module = SCOPES_MODULE;
    }
    if (strcmp(type, "*") != 0)
        return open | add_webhook_scope(scopes, template, module, type);
    if (strcmp(module, SCOPES_MODULE) != 0)
        return SCOPES_UNKNOWN_AREAS;
    for (const char *const *area = scopes_documented_areas; *area != NULL; area++)
        open |= add_webhook_scope(scopes, template, module, *area);
    return open | SCOPES_OPEN_TYPE;
}
