/*
 * SPDX-License-Identifier: ISC
 *
 * Looking up a value in an event's JSON, and changing one. No digit of a number is lost.
 */
#include <config.h>

#include "base/memory.h"
#include "event/event_inside.h"

#include <cJSON.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- looking up a value ---- */

/*
 * cJSON would read a number as a double and lose digits. So each number is parsed as a string that begins with a byte
 * which no UTF-8 text holds, and becomes raw JSON in the tree.
 */
#define NUMBER_MARK '\xff'

/* A copy of valid JSON in which each number N stands as "<mark>N". */
static char *mark_numbers(const char *object)
{
    char *copy = memory_resize(NULL, 1, strlen(object) * 4 + 1), *to = copy;
    int in_string = 0;

    for (const char *at = object; *at != '\0'; at++) {
        if (!in_string && (*at == '-' || isdigit((unsigned char)*at))) {
            size_t length = strspn(at, "-+.eE0123456789");

            *to++ = '"';
            *to++ = NUMBER_MARK;
            memcpy(to, at, length);
            to += length;
            *to++ = '"';
            at += length - 1;
            continue;
        }
        if (*at == '"')
            in_string = !in_string;
        if (in_string && *at == '\\' && at[1] != '\0')
            *to++ = *at++;
        *to++ = *at;
    }
    *to = '\0';
    return copy;
}

/* Makes the marked strings of a tree the raw numbers that they were. */
static void unmark_numbers(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        unmark_numbers(item->child);
        if (cJSON_IsString(item) && *item->valuestring == NUMBER_MARK) {
            memmove(item->valuestring, item->valuestring + 1, strlen(item->valuestring));
            item->type = cJSON_Raw;
        }
    }
}

/* The number that NAME is, as an index of an array, or -1. */
static int index_of(const char *name)
{
    return *name != '\0' && strlen(name) < 6 && name[strspn(name, "0123456789")] == '\0' ? atoi(name) : -1;
}

/* The last member of that very name: what a browser or Node would see. */
static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *found = NULL, *at;

    cJSON_ArrayForEach(at, object)
    {
        if (strcmp(at->string, name) == 0)
            found = at;
    }
    return found;
}

/* The child NAME of an object (the last of that name), or of an array by its index. */
static cJSON *child(const cJSON *parent, const char *name)
{
    return cJSON_IsArray(parent) ? cJSON_GetArrayItem(parent, index_of(name))
                                 : (cJSON *)(uintptr_t)member(parent, name);
}

/* Cuts the first name off *PATH, which is written to; *PATH is NULL behind the last one. */
static char *next_name(char **path)
{
    char *name = *path, *dot = strchr(name, '.');

    if (dot != NULL)
        *dot = '\0';
    *path = dot != NULL ? dot + 1 : NULL;
    return name;
}

char *event_value(const char *object, const char *path)
{
    char *marked = mark_numbers(object), *names = memory_copy_text(path), *left = names, *value = NULL;
    const cJSON *found;
    cJSON *tree;

    event_set_cjson_hooks();
    found = tree = cJSON_Parse(marked);
    unmark_numbers(tree);
    while (found != NULL && left != NULL)
        found = child(found, next_name(&left));
    if (found != NULL && cJSON_IsString(found))
        value = memory_copy_text(found->valuestring);
    else if (found != NULL && !cJSON_IsNull(found))
        value = cJSON_PrintUnformatted(found);
    cJSON_Delete(tree);
    free(marked);
    free(names);
    return value;
}

/* ---- changing one ---- */

/* Puts VALUE (given away) at NAME of PARENT, for what was there or as a new member. 0 when it has no place there. */
static int put(cJSON *parent, const char *name, cJSON *value)
{
    int done = 0;

    if (cJSON_IsObject(parent)) {
        if (cJSON_GetObjectItemCaseSensitive(parent, name) != NULL)
            done = cJSON_ReplaceItemInObjectCaseSensitive(parent, name, value);
        else
            done = cJSON_AddItemToObject(parent, name, value);
    } else if (cJSON_IsArray(parent)) {
        int index = index_of(name), size = cJSON_GetArraySize(parent);

        if (index >= 0 && index < size)
            done = cJSON_ReplaceItemInArray(parent, index, value);
        else if (index == size)
            done = cJSON_AddItemToArray(parent, value);
    }
    if (!done)
        cJSON_Delete(value);
    return done;
}

static cJSON *read_value(const char *text)
{
    cJSON *value = cJSON_ParseWithOpts(text, NULL, 1);

    if (value == NULL)
        value = cJSON_CreateString(text);
    if (cJSON_IsNumber(value)) {
        cJSON_Delete(value);
        value = cJSON_CreateRaw(text);
    }
    if (value == NULL)
        abort();
    return value;
}

/* Walks to the last name of PATH (which is cut up), making objects on the way, and puts the value there. */
static int assign(cJSON *root, char *path, const char *value)
{
    cJSON *parent = root;
    char *name;

    for (name = next_name(&path); path != NULL; name = next_name(&path)) {
        if (child(parent, name) == NULL && !put(parent, name, cJSON_CreateObject()))
            return 0;
        parent = child(parent, name);
    }
    return *name != '\0' && put(parent, name, read_value(value));
}

enum result event_change(const char *body, char *const *assignments, size_t count, char **out, struct err *err)
{
    char *marked = mark_numbers(body);
    enum result result = RESULT_FAIL;
    cJSON *root;

    event_set_cjson_hooks();
    root = cJSON_ParseWithOpts(marked, NULL, 1);
    unmark_numbers(root);
    *out = NULL;
    if (!cJSON_IsObject(root)) {
        err_set(err, "the event is not a JSON object, so nothing can be set in it");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = memory_copy_text(assignments[i]), *equals = strchr(path, '=');
        int done;

        if (equals != NULL)
            *equals = '\0';
        done = equals != NULL && assign(root, path, equals + 1);
        free(path);
        if (!done) {
            err_set(err, "cannot set %s: it takes PATH=VALUE, as payload.id=CP:1, and a place that is there",
                    assignments[i]);
            goto out;
        }
    }
    *out = cJSON_PrintUnformatted(root);
    if (*out == NULL)
        abort();
    result = RESULT_OK;
out:
    cJSON_Delete(root);
    free(marked);
    return result;
}
