/*
 * SPDX-License-Identifier: ISC
 *
 * From a body to the columns of its row. First the bytes of a copy are checked (event_scan.c). Then cJSON parses the
 * copy, and the tree is checked. Short texts are taken out of the tree. payload and extra are cut out of the body
 * itself, so that no digit of a number changes.
 */
#include <config.h>

#include "event/event.h"

#include "base/json_shape.h"
#include "base/memory.h"
#include "event/event_inside.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { MODULE, TYPE, CONTEXT, PAYLOAD, MEMBERS };

static const char *const member_names[MEMBERS] = {"module", "type", "context", "payload"};
static const char *const id_names[EVENT_CONTEXT_IDS] = {
    [EVENT_ORIGIN_COMMUNITY_ID] = "originCommunityId",
    [EVENT_USER_ID] = "userId",
    [EVENT_COMMUNITY_ID] = "communityId",
    [EVENT_PROFILE_ID] = "profileId",
};

/* The documented members of an event. They belong to the tree. Of equal names the last counts, as in browsers and Node.
 */
struct parts {
    cJSON *members[MEMBERS], *ids[EVENT_CONTEXT_IDS];
    bool has_extra; /* the body has something that no column takes */
};

/* ---- the tree ---- */

void event_set_cjson_hooks(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){memory_allocate, free});
}

/* Parses the object, which is the rest of the scanned copy. Returns the tree, or NULL with the reason in scan->why. */
static cJSON *parse_object(const struct scan *scan, const char *object)
{
    const char *end = NULL;
    cJSON *tree;

    _Static_assert(EVENT_NESTING_MAX <= CJSON_NESTING_LIMIT, "cJSON would call deeper nesting a syntax error");
    event_set_cjson_hooks();
    tree = cJSON_ParseWithLengthOpts(object, (size_t)(scan->end - object), &end, 0);
    if (tree == NULL) {
        err_set(scan->why, "not JSON from byte %zu on", end != NULL ? event_byte_number(scan, end) : 1);
        return NULL;
    }
    while (end < scan->end && event_is_space(*end))
        end++;
    if (end < scan->end) {
        err_set(scan->why, "text after the object, at byte %zu", event_byte_number(scan, end));
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
}

/* Returns the index of NAME among COUNT names, or COUNT when it is none of them. */
static size_t name_index(const char *const *names, size_t count, const char *name)
{
    size_t index = 0;

    while (index < count && strcmp(names[index], name) != 0)
        index++;
    return index;
}

/* Finds the members of these names. Returns whether the object has members of other names as well. */
static bool find_members(const cJSON *object, const char *const *names, size_t count, cJSON **found)
{
    cJSON *item;
    bool others = false;

    cJSON_ArrayForEach(item, object)
    {
        size_t index = name_index(names, count, item->string);

        if (index < count)
            found[index] = item;
        else
            others = true;
    }
    return others;
}

static enum result check_text(const cJSON *text, const char *name, struct err *why)
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

static enum result check_object(const cJSON *object, const char *name, struct err *why)
{
    if (cJSON_IsObject(object))
        return RESULT_OK;
    err_set(why, object == NULL ? "%s is missing" : "%s is not an object", name);
    return RESULT_FAIL;
}

static enum result check_context_id(const cJSON *id, const char *name, struct err *why)
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

/* Finds and checks the ids. An id that is null has no column: it goes to extra, to be told from a missing one. */
static enum result find_context_ids(struct parts *parts, struct err *why)
{
    enum result result = RESULT_OK;

    if (find_members(parts->members[CONTEXT], id_names, EVENT_CONTEXT_IDS, parts->ids))
        parts->has_extra = true;
    for (size_t i = 0; i < EVENT_CONTEXT_IDS && result == RESULT_OK; i++) {
        result = check_context_id(parts->ids[i], id_names[i], why);
        if (cJSON_IsNull(parts->ids[i]))
            parts->has_extra = true;
    }
    return result;
}

static enum result find_parts(const cJSON *tree, struct parts *parts, struct err *why)
{
    cJSON **members = parts->members;

    parts->has_extra = find_members(tree, member_names, MEMBERS, members);
    if (check_text(members[MODULE], "module", why) != RESULT_OK ||
        check_text(members[TYPE], "type", why) != RESULT_OK ||
        check_object(members[CONTEXT], "context", why) != RESULT_OK ||
        check_object(members[PAYLOAD], "payload", why) != RESULT_OK)
        return RESULT_FAIL;
    return find_context_ids(parts, why);
}

/* ---- the bytes of the members ---- */

/*
 * cJSON does not tell where in the text a value stands. But the children of an object are in the order of the text, so
 * a walk over both at once finds the bytes of each member. It relies on the text being valid JSON.
 */
struct walk {
    const cJSON *next, *item;
    const char *name, *value; /* of the item: where its name and its value begin */
    const char *at, *end;     /* the end of the item; the end of the text */
};

/* Begins a walk over OBJECT, whose text begins at TEXT with its brace. The text may go on after the object. */
static struct walk walk_start(const cJSON *object, const char *text, const char *end)
{
    return (struct walk){.next = object->child, .at = text + 1, .end = end};
}

/* Skips white space and MARK. */
static const char *skip_space_and(char mark, const char *at, const char *end)
{
    while (at < end && (event_is_space(*at) || *at == mark))
        at++;
    return at;
}

/* Returns the end of the name or value that begins at AT. */
static const char *token_end(const char *at, const char *end)
{
    size_t depth = 0;

    while (at != NULL && at < end && (depth > 0 || !(event_is_space(*at) || *at == ':' || *at == ',' || *at == '}'))) {
        char c = *at++;

        if (c == '"')
            at = json_shape_skip_string(at, end);
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
    }
    return at != NULL ? at : end;
}

/* Goes to the next member. Returns false after the last one. */
static bool walk_next(struct walk *walk)
{
    if (walk->next == NULL)
        return false;
    walk->item = walk->next;
    walk->next = walk->item->next;
    walk->name = skip_space_and(',', walk->at, walk->end);
    walk->value = skip_space_and(':', token_end(walk->name, walk->end), walk->end);
    walk->at = token_end(walk->value, walk->end);
    return true;
}

/* Returns whether tree and text ended together: the object has as many members in its text as in the tree. */
static bool walk_is_complete(const struct walk *walk)
{
    const char *at = skip_space_and(' ', walk->at, walk->end);

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
    if (walk_is_complete(&walk) && event->payload_length >= 2 && event->payload[0] == '{' &&
        event->payload[event->payload_length - 1] == '}')
        return RESULT_OK;
    /* Never seen. One body that is malformed by mistake is better than a recorder that stops at it. */
    err_set(why, "its members cannot be told apart");
    return RESULT_FAIL;
}

/* The append functions return the end of what they have written; there is always room, see make_extra. */
static char *append_bytes(char *to, const char *from, const char *end)
{
    memcpy(to, from, (size_t)(end - from));
    return to + (end - from);
}

static char *append_member(char *to, const struct walk *walk)
{
    if (to[-1] != '{')
        *to++ = ',';
    return append_bytes(to, walk->name, walk->at);
}

/* Appends the context without the ids that have a column; nothing when no member is left. */
static char *append_context(char *to, const struct parts *parts, struct walk walk)
{
    static const char name[] = "\"context\":{";
    char *start = to, *first;

    if (to[-1] != '{')
        *to++ = ',';
    first = to = append_bytes(to, name, name + sizeof name - 1);
    while (walk_next(&walk)) {
        size_t index = name_index(id_names, EVENT_CONTEXT_IDS, walk.item->string);

        if (index == EVENT_CONTEXT_IDS || !cJSON_IsString(parts->ids[index]))
            to = append_member(to, &walk);
    }
    if (to == first)
        return start;
    *to++ = '}';
    return to;
}

/* Returns extra, allocated. It is made of pieces of the body, so it is no longer than the body. */
static char *make_extra(const struct parts *parts, struct walk walk)
{
    char *extra = memory_allocate((size_t)(walk.end - walk.at) + 2), *to = extra;
    struct walk context = {0};

    *to++ = '{';
    while (walk_next(&walk)) {
        if (name_index(member_names, MEMBERS, walk.item->string) == MEMBERS)
            to = append_member(to, &walk);
        else if (walk.item == parts->members[CONTEXT])
            context = walk_start(walk.item, walk.value, walk.at);
    }
    to = append_context(to, parts, context);
    *to++ = '}';
    *to++ = '\0';
    return memory_resize(extra, 1, (size_t)(to - extra));
}

/* Takes the text of a string over from the tree. Returns NULL for a member that is missing or null. */
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

    if (find_parts(tree, &parts, why) != RESULT_OK || cut_payload(event, &parts, walk, why) != RESULT_OK)
        return RESULT_FAIL;
    if (parts.has_extra)
        event->extra = make_extra(&parts, walk);
    event->module = take_text(parts.members[MODULE]);
    event->type = take_text(parts.members[TYPE]);
    for (size_t i = 0; i < EVENT_CONTEXT_IDS; i++)
        event->context_ids[i] = take_text(parts.ids[i]);
    return RESULT_OK;
}

enum result event_read(const char *body, size_t length, struct event *event, struct err *why)
{
    char *copy = memory_copy_bytes(body, length);
    struct scan scan = {copy, copy, copy + length, why};
    enum result result = RESULT_FAIL;
    const char *object;
    cJSON *tree = NULL;

    *event = (struct event){0};
    if (event_scan(&scan, &object) == RESULT_OK && (tree = parse_object(&scan, object)) != NULL)
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
    for (size_t i = 0; i < EVENT_CONTEXT_IDS; i++)
        free(event->context_ids[i]);
    free(event->extra);
    *event = (struct event){0};
}
