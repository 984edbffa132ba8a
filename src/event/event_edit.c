/*
 * SPDX-License-Identifier: ISC
 *
 * Looks up and changes values in an event's JSON. Numbers keep every digit, which cJSON, reading them as doubles, would
 * lose: each number is parsed as a string that begins with a byte which no UTF-8 text has, and then made raw JSON.
 */
#include <config.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "event/event_inside.h"

#include <cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

#define NUMBER_MARK '\xff'

/* Returns a copy of valid JSON, allocated, in which each number N is the string "<mark>N". */
static char *mark_numbers(const char *object)
{
    char *copy = memory_allocate(strlen(object) * 4 + 1), *to = copy;
    bool in_string = false;

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

/* Makes the marked strings in ITEM and all after it raw numbers again. */
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

/* Parses JSON, which may have text after it unless WHOLE. Returns NULL when it is not JSON. */
static cJSON *parse_with_digits(const char *json, bool whole)
{
    char *marked = mark_numbers(json);
    cJSON *tree;

    event_set_cjson_hooks();
    tree = cJSON_ParseWithOpts(marked, NULL, whole);
    unmark_numbers(tree);
    free(marked);
    return tree;
}

/* ---- looking up a value ---- */

/* Returns NAME as the index of an array, or -1 when it is not a number. */
static int array_index(const char *name)
{
    return *name != '\0' && strlen(name) < 6 && name[strspn(name, "0123456789")] == '\0' ? atoi(name) : -1;
}

/* Returns the last member of that name, which is the one that browsers and Node see, or NULL. */
static cJSON *last_member(const cJSON *object, const char *name)
{
    cJSON *found = NULL, *item;

    cJSON_ArrayForEach(item, object)
    {
        if (strcmp(item->string, name) == 0)
            found = item;
    }
    return found;
}

/* Returns the member NAME of an object, or the element of that index of an array, or NULL. */
static cJSON *find_child(const cJSON *parent, const char *name)
{
    return cJSON_IsArray(parent) ? cJSON_GetArrayItem(parent, array_index(name)) : last_member(parent, name);
}

/* Returns the first name of *PATH, which is cut up. *PATH moves to the rest, and is NULL after the last name. */
static char *next_name(char **path)
{
    char *name = *path, *dot = strchr(name, '.');

    if (dot != NULL)
        *dot = '\0';
    *path = dot != NULL ? dot + 1 : NULL;
    return name;
}

static char *print_tree(const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);

    if (text == NULL)
        abort();
    return text;
}

char *event_value(const char *object, const char *path)
{
    char *names = memory_copy_text(path), *left = names, *value = NULL;
    cJSON *tree = parse_with_digits(object, false);
    const cJSON *found = tree;

    while (found != NULL && left != NULL)
        found = find_child(found, next_name(&left));
    if (found != NULL && cJSON_IsString(found))
        value = memory_copy_text(found->valuestring);
    else if (found != NULL && !cJSON_IsNull(found))
        value = print_tree(found);
    cJSON_Delete(tree);
    free(names);
    return value;
}

/* ---- changing values ---- */

/*
 * Sets the child NAME of PARENT to VALUE, which is given away then. Returns false when PARENT cannot have such a child:
 * it is no container, or NAME is no index from 0 to the length of the array.
 */
static bool put_child(cJSON *parent, const char *name, cJSON *value)
{
    bool done = false;

    if (cJSON_IsObject(parent)) {
        if (cJSON_GetObjectItemCaseSensitive(parent, name) != NULL)
            done = cJSON_ReplaceItemInObjectCaseSensitive(parent, name, value);
        else
            done = cJSON_AddItemToObject(parent, name, value);
    } else if (cJSON_IsArray(parent)) {
        int index = array_index(name), size = cJSON_GetArraySize(parent);

        if (index >= 0 && index < size)
            done = cJSON_ReplaceItemInArray(parent, index, value);
        else if (index == size)
            done = cJSON_AddItemToArray(parent, value);
    }
    return done;
}

static void put_object(cJSON *parent, const char *name)
{
    cJSON *object = cJSON_CreateObject();

    if (!put_child(parent, name, object))
        cJSON_Delete(object);
}

/* Returns the end of the string at AT, without its closing quote; NULL when it has what JSON or cJSON refuses. */
static const char *strict_string_end(const char *at)
{
    for (at++; *at != '"'; at++) {
        if ((unsigned char)*at < ' ')
            return NULL; /* NUL, too: it is not closed */
        if (*at != '\\')
            continue;
        if (*++at == '\0')
            return NULL;
        if (*at == 'u' && (strspn(at + 1, "0123456789abcdefABCDEF") < 4 || strncmp(at + 1, "0000", 4) == 0))
            return NULL;
    }
    return at;
}

/*
 * Returns whether JSON has nothing of what cJSON takes, or reads otherwise than it is meant: numbers like 007 and 1.,
 * control characters, and \u0000, which would end its string. Its structure is left to cJSON.
 */
static bool is_strict(const char *json)
{
    int exponent;

    for (const char *at = json; at != NULL && *at != '\0';) {
        if (*at == '"') {
            at = strict_string_end(at);
            if (at != NULL)
                at++;
        } else if (*at == '-' || isdigit((unsigned char)*at)) {
            at = event_number_end(at, &exponent);
        } else if (((unsigned char)*at < ' ' && !event_is_space(*at)) || (unsigned char)*at > '~') {
            at = NULL;
        } else {
            at++;
        }
        if (at == NULL)
            return false;
    }
    return true;
}

/* Returns TEXT as JSON, all of it, or NULL when it is none. */
static cJSON *parse_strictly(const char *text)
{
    return is_strict(text) ? parse_with_digits(text, true) : NULL;
}

/* Returns TEXT as JSON if it is JSON, else as a string. NULL when it is put in quotes, and no string of JSON. */
static cJSON *parse_value(const char *text)
{
    size_t length = strlen(text);
    cJSON *value = parse_strictly(text);

    if (value == NULL && (length < 2 || text[0] != '"' || text[length - 1] != '"'))
        value = cJSON_CreateString(text);
    return value;
}

/* Sets the value at PATH, which is cut up. False when the path cannot be followed, else *VALUE is given away, and NULL.
 */
static bool set_value(cJSON *root, char *path, cJSON **value)
{
    cJSON *parent = root;
    char *name;

    for (name = next_name(&path); path != NULL; name = next_name(&path)) {
        if (find_child(parent, name) == NULL)
            put_object(parent, name);
        parent = find_child(parent, name); /* NULL, which has no children, when it can have none */
    }
    if (*name == '\0' || !put_child(parent, name, *value))
        return false;
    *value = NULL;
    return true;
}

static enum result apply_assignment(cJSON *root, const char *assignment, struct err *err)
{
    const char *equals = strchr(assignment, '=');
    char *path = memory_copy_bytes(assignment, equals != NULL ? (size_t)(equals - assignment) : 0);
    cJSON *value = equals != NULL ? parse_value(equals + 1) : NULL;
    enum result result = RESULT_FAIL;

    if (utf8_span(assignment, strlen(assignment)) < strlen(assignment))
        err_set(err, "cannot set %s: it is not UTF-8", assignment);
    else if (equals != NULL && value == NULL)
        err_set(err, "cannot set %s: the value is in quotes, and no string of JSON; \\u0000 cannot be set", assignment);
    else if (equals == NULL || !set_value(root, path, &value))
        err_set(err, "cannot set %s: it must be PATH=VALUE, as in payload.id=CP:1, with a path that the event has",
                assignment);
    else
        result = RESULT_OK;
    cJSON_Delete(value);
    free(path);
    return result;
}

enum result event_change(const char *body, char *const *assignments, size_t count, char **out, struct err *err)
{
    cJSON *root = parse_strictly(body);
    enum result result = RESULT_OK;

    *out = NULL;
    if (!cJSON_IsObject(root)) {
        err_set(err, "the event is not a JSON object, so nothing can be set in it");
        result = RESULT_FAIL;
    }
    for (size_t i = 0; i < count && result == RESULT_OK; i++)
        result = apply_assignment(root, assignments[i], err);
    if (result == RESULT_OK)
        *out = print_tree(root);
    cJSON_Delete(root);
    return result;
}
