/*
 * SPDX-License-Identifier: ISC
 *
 * Is a body an event? First a scan of its bytes (scan_tokens), which works on a copy: it judges every number by JSON's
 * grammar, bounds exponents and nesting, and writes "0" and blanks over each number: some versions of cJSON read only
 * 63 characters of one, or want the locale's decimal point, and the digits are the database's business. Then cJSON
 * parses the copy, and its tree is judged. Bytes keep their places, so a position in the copy is one in the body.
 * Positions told to people count from 1.
 *
 * Then the two other things that are done with an event's JSON: looking up a value, and changing one.
 */
#include <config.h>

#include "event.h"

#include "text.h"

#include <cJSON.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const context_ids[] = {"originCommunityId", "userId", "communityId", "profileId"};

/* ---- the scan ---- */

struct scan {
    char *start, *at, *end; /* *end is NUL */
    struct err *why;
};

static size_t position(const struct scan *scan, const char *at)
{
    return (size_t)(at - scan->start) + 1;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *skip_digits(char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Reads the digits of an exponent; what is too large to matter stays EVENT_EXPONENT_MAX + 1. */
static char *skip_exponent(char *at, int *exponent)
{
    for (*exponent = 0; isdigit((unsigned char)*at); at++) {
        *exponent = *exponent * 10 + (*at - '0');
        if (*exponent > EVENT_EXPONENT_MAX)
            *exponent = EVENT_EXPONENT_MAX + 1;
    }
    return at;
}

/* Returns the end of the number at AT, or NULL when it is not written as JSON has it. */
static char *number_end(char *at, int *exponent)
{
    char *start;

    at += *at == '-';
    start = at;
    at = skip_digits(at);
    if (at == start || (*start == '0' && at > start + 1))
        return NULL;
    if (*at == '.') {
        start = ++at;
        at = skip_digits(at);
        if (at == start)
            return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        start = at;
        at = skip_exponent(at, exponent);
        if (at == start)
            return NULL;
    }
    return is_space(*at) || *at == ',' || *at == ']' || *at == '}' || *at == '\0' ? at : NULL;
}

static enum result scan_number(struct scan *scan)
{
    char *start = scan->at;
    int exponent = 0;

    scan->at = number_end(start, &exponent);
    if (scan->at == NULL) {
        err_set(scan->why, "not JSON: a number at byte %zu", position(scan, start));
        return RESULT_FAIL;
    }
    if (exponent > EVENT_EXPONENT_MAX) {
        err_set(scan->why, "the number at byte %zu has an exponent beyond %d", position(scan, start),
                EVENT_EXPONENT_MAX);
        return RESULT_FAIL;
    }
    memset(start, ' ', (size_t)(scan->at - start));
    *start = '0';
    return RESULT_OK;
}

/* From the first quote to behind the last, or to the end of the body: cJSON says that then. */
static void scan_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        if (*scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
    }
    if (scan->at < scan->end)
        scan->at++;
}

static enum result scan_tokens(struct scan *scan)
{
    enum result result = RESULT_OK;
    size_t depth = 0;

    while (scan->at < scan->end && result == RESULT_OK) {
        char c = *scan->at;

        if (c == '"') {
            scan_string(scan);
            continue;
        }
        if (c == '-' || isdigit((unsigned char)c)) {
            result = scan_number(scan);
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > CJSON_NESTING_LIMIT) {
            err_set(scan->why, "nested more than %d deep at byte %zu", CJSON_NESTING_LIMIT, position(scan, scan->at));
            return RESULT_FAIL;
        }
        depth -= (c == '}' || c == ']') && depth > 0;
        scan->at++;
    }
    return result;
}

/* ---- the tree ---- */

/* Memory that runs out must not look like a malformed body. */
static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (memory == NULL)
        abort();
    return memory;
}

static cJSON *parse(const struct scan *scan, const char *object)
{
    static cJSON_Hooks hooks = {allocate, free};
    const char *end = NULL;
    cJSON *tree;

    cJSON_InitHooks(&hooks);
    tree = cJSON_ParseWithLengthOpts(object, (size_t)(scan->end - object), &end, 0);
    if (tree == NULL) {
        err_set(scan->why, "not JSON from byte %zu on", end != NULL ? position(scan, end) : 1);
        return NULL;
    }
    while (end < scan->end && is_space(*end))
        end++;
    if (end < scan->end) {
        err_set(scan->why, "text after the object, at byte %zu", position(scan, end));
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
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

static enum result check_text(const cJSON *object, const char *name, struct err *why)
{
    const cJSON *text = member(object, name);

    if (text == NULL)
        err_set(why, "%s is missing", name);
    else if (!cJSON_IsString(text))
        err_set(why, "%s is not a string", name);
    else if (*text->valuestring == '\0')
        err_set(why, "%s is empty", name);
    else if (strlen(text->valuestring) > EVENT_ID_BYTES)
        err_set(why, "%s is longer than %d bytes", name, EVENT_ID_BYTES);
    else
        return RESULT_OK;
    return RESULT_FAIL;
}

static enum result check_object(const cJSON *object, const char *name, struct err *why)
{
    const cJSON *inner = member(object, name);

    if (cJSON_IsObject(inner))
        return RESULT_OK;
    err_set(why, inner == NULL ? "%s is missing" : "%s is not an object", name);
    return RESULT_FAIL;
}

static enum result check_context(const cJSON *context, struct err *why)
{
    for (size_t i = 0; i < sizeof context_ids / sizeof context_ids[0]; i++) {
        const cJSON *id = member(context, context_ids[i]);

        if (id == NULL || cJSON_IsNull(id))
            continue;
        if (!cJSON_IsString(id)) {
            err_set(why, "context.%s is neither a string nor null", context_ids[i]);
            return RESULT_FAIL;
        }
        if (strlen(id->valuestring) > EVENT_ID_BYTES) {
            err_set(why, "context.%s is longer than %d bytes", context_ids[i], EVENT_ID_BYTES);
            return RESULT_FAIL;
        }
    }
    return RESULT_OK;
}

static enum result check_tree(const cJSON *event, struct err *why)
{
    if (check_text(event, "module", why) != RESULT_OK || check_text(event, "type", why) != RESULT_OK ||
        check_object(event, "context", why) != RESULT_OK || check_object(event, "payload", why) != RESULT_OK)
        return RESULT_FAIL;
    return check_context(member(event, "context"), why);
}

/* ---- the whole ---- */

/* Where the object begins: behind a BOM and white space. */
static const char *find_object(const struct scan *scan)
{
    const char *at = scan->start;

    if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (is_space(*at))
        at++;
    return at;
}

static enum result check_copy(struct scan *scan)
{
    const char *nul = memchr(scan->start, '\0', (size_t)(scan->end - scan->start)), *object = find_object(scan);
    enum result result;
    cJSON *event;

    if (scan->start == scan->end)
        err_set(scan->why, "the body is empty");
    else if (nul != NULL)
        err_set(scan->why, "a NUL byte at byte %zu", position(scan, nul));
    else if (*object != '{')
        err_set(scan->why, "the body is not a JSON object");
    else if (scan_tokens(scan) == RESULT_OK && (event = parse(scan, object)) != NULL) {
        result = check_tree(event, scan->why);
        cJSON_Delete(event);
        return result;
    }
    return RESULT_FAIL;
}

enum result event_check(const char *body, size_t length, struct err *why)
{
    char *copy = allocate(length + 1);
    struct scan scan = {copy, copy, copy + length, why};
    enum result result;

    if (length > 0)
        memcpy(copy, body, length);
    copy[length] = '\0';
    result = check_copy(&scan);
    free(copy);
    return result;
}

/* ---- looking up a value ---- */

/*
 * cJSON would read a number as a double and lose digits. So each number is parsed as a string that begins with a byte
 * which no UTF-8 text holds, and becomes raw JSON in the tree.
 */
#define NUMBER_MARK '\xff'

/* A copy of valid JSON in which each number N stands as "<mark>N". */
static char *mark_numbers(const char *object)
{
    char *copy = allocate(strlen(object) * 4 + 1), *to = copy;
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
    char *marked = mark_numbers(object), *names = text_copy(path), *left = names, *value = NULL;
    cJSON *tree = cJSON_Parse(marked);
    const cJSON *found = tree;

    unmark_numbers(tree);
    while (found != NULL && left != NULL)
        found = child(found, next_name(&left));
    if (found != NULL && cJSON_IsString(found))
        value = text_copy(found->valuestring);
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
    cJSON *root = cJSON_ParseWithOpts(marked, NULL, 1);
    enum result result = RESULT_FAIL;

    unmark_numbers(root);
    *out = NULL;
    if (!cJSON_IsObject(root)) {
        err_set(err, "the event is not a JSON object, so nothing can be set in it");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = text_copy(assignments[i]), *equals = strchr(path, '=');
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
