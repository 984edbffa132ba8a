/*
 * SPDX-License-Identifier: ISC
 *
 * From a body to the columns of its row. The bytes of a copy are judged first (event_scan.c), then cJSON parses the
 * copy and its tree is judged. Short texts come out of the tree; what is kept as JSON is cut out of the body itself, so
 * that not a digit of it changes.
 */
#include <config.h>

#include "event/event.h"

#include "base/json_shape.h"
#include "base/memory.h"
#include "event/event_inside.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 4 /* that are documented, of an event and of its context alike */

enum { MODULE, TYPE, CONTEXT, PAYLOAD };

static const char *const member_names[NAMES] = {"module", "type", "context", "payload"};
static const char *const id_names[NAMES] = {
    [EVENT_ORIGIN_COMMUNITY_ID] = "originCommunityId",
    [EVENT_USER_ID] = "userId",
    [EVENT_COMMUNITY_ID] = "communityId",
    [EVENT_PROFILE_ID] = "profileId",
};

/* What was found in a tree, which owns it. Of equal names the last: what a browser or Node would see. */
struct parts {
    cJSON *members[NAMES], *ids[NAMES];
    int beyond; /* there is something that no column takes */
};

/* ---- the tree ---- */

static void *allocate_for_cjson(size_t size)
{
    return memory_allocate(size);
}

void event_set_cjson_hooks(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){allocate_for_cjson, free});
}

static cJSON *parse(const struct scan *scan, const char *object)
{
    const char *end = NULL;
    cJSON *tree;

    _Static_assert(EVENT_NESTING_MAX <= CJSON_NESTING_LIMIT, "cJSON would call it no JSON");
    event_set_cjson_hooks();
    tree = cJSON_ParseWithLengthOpts(object, (size_t)(scan->end - object), &end, 0);
    if (tree == NULL) {
        err_set(scan->why, "not JSON from byte %zu on", end != NULL ? event_place(scan, end) : 1);
        return NULL;
    }
    while (end < scan->end && event_is_space(*end))
        end++;
    if (end < scan->end) {
        err_set(scan->why, "text after the object, at byte %zu", event_place(scan, end));
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
}

/* Which of the names it is; NAMES for another one. */
static size_t name_index(const char *const *names, const char *name)
{
    size_t index = 0;

    while (index < NAMES && strcmp(names[index], name) != 0)
        index++;
    return index;
}

/* Returns whether there are members of other names as well. */
static int find_members(const cJSON *object, const char *const *names, cJSON **found)
{
    cJSON *item;
    int others = 0;

    cJSON_ArrayForEach(item, object)
    {
        size_t index = name_index(names, item->string);

        if (index < NAMES)
            found[index] = item;
        else
            others = 1;
    }
    return others;
}

static enum result judge_text(const cJSON *text, const char *name, struct err *why)
{
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

static enum result judge_object(const cJSON *object, const char *name, struct err *why)
{
    if (cJSON_IsObject(object))
        return RESULT_OK;
    err_set(why, object == NULL ? "%s is missing" : "%s is not an object", name);
    return RESULT_FAIL;
}

static enum result judge_id(const cJSON *id, const char *name, struct err *why)
{
    if (id == NULL || cJSON_IsNull(id))
        return RESULT_OK;
    if (!cJSON_IsString(id))
        err_set(why, "context.%s is neither a string nor null", name);
    else if (strlen(id->valuestring) > EVENT_ID_BYTES)
        err_set(why, "context.%s is longer than %d bytes", name, EVENT_ID_BYTES);
    else
        return RESULT_OK;
    return RESULT_FAIL;
}

static enum result judge_context(struct parts *parts, struct err *why)
{
    enum result result = RESULT_OK;

    if (find_members(parts->members[CONTEXT], id_names, parts->ids))
        parts->beyond = 1;
    for (size_t i = 0; i < NAMES && result == RESULT_OK; i++) {
        result = judge_id(parts->ids[i], id_names[i], why);
        if (cJSON_IsNull(parts->ids[i]))
            parts->beyond = 1;
    }
    return result;
}

static enum result judge(const cJSON *tree, struct parts *parts, struct err *why)
{
    cJSON **members = parts->members;

    parts->beyond = find_members(tree, member_names, members);
    if (judge_text(members[MODULE], "module", why) != RESULT_OK ||
        judge_text(members[TYPE], "type", why) != RESULT_OK ||
        judge_object(members[CONTEXT], "context", why) != RESULT_OK ||
        judge_object(members[PAYLOAD], "payload", why) != RESULT_OK)
        return RESULT_FAIL;
    return judge_context(parts, why);
}

/* ---- the bytes of its members ---- */

/*
 * cJSON tells no places. But the children of an object come in the order of its text, so a walk over both at once has
 * the bytes of each. It relies on the text being JSON.
 */
struct walk {
    const cJSON *next, *item;
    const char *name, *value; /* of the item: where its name and its value begin */
    const char *at, *end;     /* where the item ends; where the text does, at the latest */
};

/* OBJECT is TEXT, which may go on behind it. */
static struct walk walk_start(const cJSON *object, const char *text, const char *end)
{
    return (struct walk){.next = object->child, .at = text + 1, .end = end};
}

static const char *skip_to(const char *at, const char *end, char mark)
{
    while (at < end && (event_is_space(*at) || *at == mark))
        at++;
    return at;
}

/* Behind the name or value that begins at AT. */
static const char *piece_end(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end && (depth > 0 || !(event_is_space(*at) || *at == ':' || *at == ',' || *at == '}'))) {
        char c = *at++;

        if (c == '"' && (at = json_shape_skip_string(at, end)) == NULL)
            return end;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
    }
    return at;
}

/* 0 behind the last. */
static int walk_next(struct walk *walk)
{
    if (walk->next == NULL)
        return 0;
    walk->item = walk->next;
    walk->next = walk->item->next;
    walk->name = skip_to(walk->at, walk->end, ',');
    walk->value = skip_to(piece_end(walk->name, walk->end), walk->end, ':');
    walk->at = piece_end(walk->value, walk->end);
    return 1;
}

/* Has the object as many members in its text as in the tree? */
static int walk_is_whole(const struct walk *walk)
{
    const char *at = skip_to(walk->at, walk->end, ' ');

    return walk->next == NULL && at < walk->end && *at == '}';
}

/* ---- the columns ---- */

static enum result cut_payload(struct event *event, const struct parts *parts, struct walk walk, struct err *why)
{
    while (walk_next(&walk)) {
        if (walk.item == parts->members[PAYLOAD]) {
            event->payload = walk.value;
            event->payload_length = (size_t)(walk.at - walk.value);
        }
    }
    if (walk_is_whole(&walk) && event->payload_length >= 2 && event->payload[0] == '{' &&
        event->payload[event->payload_length - 1] == '}')
        return RESULT_OK;
    /* Never seen; but better one body put aside than none recorded any more. */
    err_set(why, "its members cannot be told apart");
    return RESULT_FAIL;
}

static char *append(char *to, const char *from, const char *end)
{
    memcpy(to, from, (size_t)(end - from));
    return to + (end - from);
}

static char *append_member(char *to, const struct walk *walk)
{
    if (to[-1] != '{')
        *to++ = ',';
    return append(to, walk->name, walk->at);
}

/* Appends the context without the ids that are columns, unless nothing is left of it. */
static char *append_context(char *to, const struct parts *parts, struct walk walk)
{
    static const char name[] = "\"context\":{";
    char *start = to, *first;

    if (to[-1] != '{')
        *to++ = ',';
    first = to = append(to, name, name + sizeof name - 1);
    while (walk_next(&walk)) {
        size_t index = name_index(id_names, walk.item->string);

        if (index == NAMES || !cJSON_IsString(parts->ids[index]))
            to = append_member(to, &walk);
    }
    if (to == first)
        return start;
    *to++ = '}';
    return to;
}

/* Allocated. It is made of pieces of the body, so it has room in as many bytes. */
static char *make_extra(const struct parts *parts, struct walk walk)
{
    char *extra = memory_resize(NULL, 1, (size_t)(walk.end - walk.at) + 2), *to = extra;
    struct walk context = {0};

    *to++ = '{';
    while (walk_next(&walk)) {
        if (name_index(member_names, walk.item->string) == NAMES)
            to = append_member(to, &walk);
        else if (walk.item == parts->members[CONTEXT])
            context = walk_start(walk.item, walk.value, walk.at);
    }
    to = append_context(to, parts, context);
    *to++ = '}';
    *to++ = '\0';
    to = realloc(extra, (size_t)(to - extra));
    return to != NULL ? to : extra;
}

/* The text of a string, out of the tree, which frees it no longer. NULL for what is missing or null. */
static char *take_text(cJSON *item)
{
    char *text = item != NULL ? item->valuestring : NULL;

    if (item != NULL)
        item->valuestring = NULL;
    return text;
}

static enum result read_tree(const cJSON *tree, const char *object, const char *end, struct event *event,
                             struct err *why)
{
    struct parts parts = {0};
    struct walk walk = walk_start(tree, object, end);

    if (judge(tree, &parts, why) != RESULT_OK || cut_payload(event, &parts, walk, why) != RESULT_OK)
        return RESULT_FAIL;
    if (parts.beyond)
        event->extra = make_extra(&parts, walk);
    event->module = take_text(parts.members[MODULE]);
    event->type = take_text(parts.members[TYPE]);
    for (size_t i = 0; i < NAMES; i++)
        event->context_ids[i] = take_text(parts.ids[i]);
    return RESULT_OK;
}

enum result event_read(const char *body, size_t length, struct event *event, struct err *why)
{
    char *copy = memory_resize(NULL, 1, length + 1);
    struct scan scan = {copy, copy, copy + length, why};
    enum result result = RESULT_FAIL;
    const char *object;
    cJSON *tree = NULL;

    *event = (struct event){0};
    if (length > 0)
        memcpy(copy, body, length);
    copy[length] = '\0';
    if (event_scan(&scan, &object) == RESULT_OK && (tree = parse(&scan, object)) != NULL)
        result = read_tree(tree, body + (object - copy), body + length, event, why);
    cJSON_Delete(tree);
    free(copy);
    return result;
}

void event_free(struct event *event)
{
    if (event == NULL)
        return;
    free(event->module);
    free(event->type);
    for (size_t i = 0; i < NAMES; i++)
        free(event->context_ids[i]);
    free(event->extra);
    *event = (struct event){0};
}
