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

bool scopes_add_words(struct scopes *scopes, const char *text)
{
    char *copy = memory_copy_text(text), *rest = copy;
    bool good = true;

    for (char *name; good && (name = strsep(&rest, " \t")) != NULL;)
        good = *name == '\0' || scopes_add(scopes, name);
    free(copy);
    return good;
}

char *scopes_join(const struct scopes *scopes)
{
    size_t size;
    char *text;
    FILE *to;

    if (scopes->count == 0)
        return NULL;
    to = memory_open_stream(&text, &size);
    for (size_t i = 0; i < scopes->count; i++)
        fprintf(to, "%s%s", i == 0 ? "" : " ", scopes->names[i]);
    memory_close_stream(to);
    return text;
}

/* A part of a text. */
struct span {
    const char *start;
    size_t length;
};

/* Returns the area of a type, whose beginning up to the first dot the words of AREAS may replace. */
static struct span area_of(const char *areas, const char *type)
{
    struct span beginning = {type, strcspn(type, ".")};

    while (*areas != '\0') {
        size_t word = strcspn(areas, " \t");

        if (word > beginning.length && strncmp(areas, type, beginning.length) == 0 && areas[beginning.length] == '=')
            return (struct span){areas + beginning.length + 1, word - beginning.length - 1};
        areas += word;
        areas += strspn(areas, " \t");
    }
    return beginning;
}

/* Returns the rule's template filled in, allocated. */
static char *fill_template(const struct scopes_rule *rule, const char *module, const char *type)
{
    const char *at = rule->webhook_scope;
    struct span area = area_of(rule->webhook_areas, type);
    size_t size;
    char *text;
    FILE *to = memory_open_stream(&text, &size);

    while (*at != '\0') {
        if (strncmp(at, "{module}", 8) == 0) {
            fputs(module, to);
            at += 8;
        } else if (strncmp(at, "{area}", 6) == 0) {
            fwrite(area.start, 1, area.length, to);
            at += 6;
        } else {
            putc(*at++, to);
        }
    }
    memory_close_stream(to);
    return text;
}

static void add_webhook_scope(struct scopes_needed *needed, const char *module, const char *type)
{
    char *name = fill_template(&needed->rule, module, type);

    if (!scopes_add(&needed->scopes, name))
        needed->open |= SCOPES_NOT_A_SCOPE;
    free(name);
}

void scopes_add_needed(void *context, const char *module, const char *type)
{
    struct scopes_needed *needed = context;

    if (strcmp(module, "*") == 0) {
        needed->open |= SCOPES_OPEN_MODULE;
        module = SCOPES_MODULE;
    }
    if (strcmp(type, "*") != 0) {
        add_webhook_scope(needed, module, type);
    } else if (strcmp(module, SCOPES_MODULE) != 0) {
        needed->open |= SCOPES_UNKNOWN_AREAS;
    } else {
        needed->open |= SCOPES_OPEN_TYPE;
        for (const char *const *area = scopes_documented_areas; *area != NULL; area++)
            add_webhook_scope(needed, module, *area);
    }
}
