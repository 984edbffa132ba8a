/*
 * SPDX-License-Identifier: ISC
 *
 * OAuth2 scopes. Patterns leave things open: the module `*` stands for the one module that is documented, the type `*`
 * of that module for the documented areas, which are those of the samples; both are said, since modules and types are
 * open sets.
 */
#include <config.h>

#include "http/scopes.h"

#include "event/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE "MOIM"

struct wanting {
    struct scopes *scopes;
    const char *template, *verb;
    int open_module, open_type;
};

/* What RFC 6749 allows in the name of a scope. */
static int is_scope(const char *name)
{
    const char *at = name;

    while (*at > ' ' && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    return at > name && *at == '\0';
}

int scopes_add(struct scopes *scopes, const char *name)
{
    if (!is_scope(name))
        return -1;
    for (size_t i = 0; i < scopes->count; i++)
        if (strcmp(scopes->names[i], name) == 0)
            return 0;
    scopes->names = realloc(scopes->names, (scopes->count + 1) * sizeof *scopes->names);
    if (scopes->names == NULL || (scopes->names[scopes->count] = strdup(name)) == NULL)
        abort();
    scopes->count++;
    return 0;
}

/* The template with its words replaced, allocated. AREA has LENGTH bytes. */
static char *fill(const char *template, const char *module, const char *area, size_t length)
{
    size_t size;
    char *text;
    FILE *to = open_memstream(&text, &size);

    if (to == NULL)
        abort();
    while (*template != '\0') {
        if (strncmp(template, "{module}", 8) == 0) {
            fputs(module, to);
            template += 8;
        } else if (strncmp(template, "{area}", 6) == 0) {
            fwrite(area, 1, length, to);
            template += 6;
        } else {
            putc(*template ++, to);
        }
    }
    if (fclose(to) != 0)
        abort();
    return text;
}

static void want(struct wanting *wanting, const char *module, const char *type)
{
    char *name = fill(wanting->template, module, type, strcspn(type, "."));

    if (scopes_add(wanting->scopes, name) != 0)
        fprintf(stderr, "%s: a handler wants a module or type that no scope can be named after\n", wanting->verb);
    free(name);
}

static void on_wanted(void *context, const char *module, const char *type)
{
    struct wanting *wanting = context;

    if (strcmp(module, "*") == 0) {
        wanting->open_module = 1;
        module = MODULE;
    }
    if (strcmp(type, "*") != 0) {
        want(wanting, module, type);
    } else if (strcmp(module, MODULE) == 0) {
        wanting->open_type = 1;
        for (const struct sample *sample = samples; sample->type != NULL; sample++)
            want(wanting, module, sample->type);
    } else {
        fprintf(stderr,
                "%s: a handler wants all types of another module than " MODULE
                ", whose scopes are not known here: see the App's settings\n",
                wanting->verb);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum result scopes_wanted(struct scopes *scopes, struct store *store, const char *template, const char *verb,
                          struct err *err)
{
    struct wanting wanting = {.scopes = scopes, .template = template, .verb = verb};
    enum result result = store_wanted(store, on_wanted, &wanting, err);

    if (result != RESULT_OK)
        return result;
    if (wanting.open_module)
        fprintf(stderr, "%s: a handler wants the module *: only " MODULE " is known here, others may exist\n", verb);
    if (wanting.open_type)
        fprintf(stderr, "%s: a handler wants the type *: the documented ones are meant, others may exist\n", verb);
    if (scopes->count > 0)
        qsort(scopes->names, scopes->count, sizeof *scopes->names, compare);
    return RESULT_OK;
}

void scopes_free(struct scopes *scopes)
{
    for (size_t i = 0; i < scopes->count; i++)
        free(scopes->names[i]);
    free(scopes->names);
    *scopes = (struct scopes){0};
}
