/*
 * SPDX-License-Identifier: ISC
 *
 * Changing sample events with cJSON. A number that is assigned keeps every digit, since its text is put in as it is.
 */
#include <config.h>

#include "sample.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

const struct sample *sample_find(const char *type)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        if (strcmp(sample->type, type) == 0)
            return sample;
    return NULL;
}

/* The number that NAME is, as an index of an array, or -1. */
static int index_of(const char *name)
{
    return *name != '\0' && strlen(name) < 6 && name[strspn(name, "0123456789")] == '\0' ? atoi(name) : -1;
}

/* Puts VALUE (given away) at NAME of PARENT, for what was there or as a new member or element. 0 when it has no place.
 */
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

static cJSON *get(const cJSON *parent, const char *name)
{
    return cJSON_IsArray(parent) ? cJSON_GetArrayItem(parent, index_of(name))
                                 : cJSON_GetObjectItemCaseSensitive(parent, name);
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
    char *dot;

    for (; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        *dot = '\0';
        if (get(parent, path) == NULL && !put(parent, path, cJSON_CreateObject()))
            return 0;
        parent = get(parent, path);
    }
    return *path != '\0' && put(parent, path, read_value(value));
}

enum result sample_change(const char *body, char *const *assignments, size_t count, char **out, struct err *err)
{
    cJSON *root = cJSON_ParseWithOpts(body, NULL, 1);
    enum result result = RESULT_FAIL;

    *out = NULL;
    if (!cJSON_IsObject(root)) {
        err_set(err, "the event is not a JSON object, so nothing can be set in it");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = strdup(assignments[i]);
        char *equals = path != NULL ? strchr(path, '=') : NULL;
        int done;

        if (path == NULL)
            abort();
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
    return result;
}
