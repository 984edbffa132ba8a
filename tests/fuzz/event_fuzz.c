/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes event_read. Whatever the bytes are, there is an event or a reason of one line. The responder's check
 * (json_shape) accepts every event: else it would refuse what the recorder accepts. payload and extra, which are cut
 * out of the body, make the same event again.
 */
#include <config.h>

#include "event/event.h"

#include "base/json_shape.h"
#include "base/utf8.h"
#include "fuzz.h"

#include <cJSON.h>
#include <stdbool.h>

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A text of which the database takes every byte. */
static void check_text(const char *text)
{
    must(text == NULL || utf8_span(text, strlen(text)) == strlen(text));
}

/*
 * The event's payload and extra in the simplest of bodies: both are JSON then, and nothing in them was judged as more
 * or less than it is. Extra is put last, so that its context is the one that counts.
 */
static void check_again(const struct event *event)
{
    static const char start[] = "{\"module\":\"M\",\"type\":\"t\",\"context\":{},\"payload\":";
    const char *extra = event->extra != NULL ? event->extra : "{}";
    struct event again;
    struct err why;
    char *body;
    int length = asprintf(&body, "%s%.*s%s%s", start, (int)event->payload_length, event->payload,
                          event->extra != NULL ? "," : "", extra + 1);

    must(length > 0 && event_read(body, (size_t)length, &again, &why) == RESULT_OK);
    must(again.payload == body + strlen(start) && again.payload_length == event->payload_length);
    must(is_same(again.extra, event->extra));
    for (size_t i = 0; i < EVENT_CONTEXT_IDS; i++)
        must(again.context_ids[i] == NULL);
    event_free(&again);
    free(body);
}

static void check_extra(const char *extra)
{
    size_t length = strlen(extra);
    cJSON *tree = cJSON_ParseWithOpts(extra, NULL, 1);

    /* cJSON cannot read every number that an event may have. */
    must(cJSON_IsObject(tree) || strpbrk(extra, "0123456789") != NULL);
    must(tree == NULL || tree->child != NULL);
    must(extra[0] == '{' && extra[length - 1] == '}');
    cJSON_Delete(tree);
}

static void check_event(const struct event *event, const char *body, size_t size)
{
    must(event->payload >= body && event->payload_length >= 2 && event->payload + event->payload_length < body + size);
    must(event->payload[0] == '{' && event->payload[event->payload_length - 1] == '}');
    must(*event->module != '\0' && *event->type != '\0');
    check_text(event->module);
    check_text(event->type);
    check_text(event->extra);
    for (size_t i = 0; i < EVENT_CONTEXT_IDS; i++)
        check_text(event->context_ids[i]);
    if (event->extra != NULL)
        check_extra(event->extra);
    check_again(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    struct event event;
    struct err why = {""};

    if (event_read(body, size, &event, &why) == RESULT_OK) {
        must(json_shape_is_object(body, size));
        check_event(&event, body, size);
    } else {
        must(*why.text != '\0' && strchr(why.text, '\n') == NULL);
        must(event.module == NULL && event.payload == NULL && event.extra == NULL);
    }
    event_free(&event);
    return 0;
}

static const char *const fuzz_seeds[] = {
    "{\"module\":\"MOIM\",\"type\":\"product.created\",\"context\":{\"originCommunityId\":\"G0IZUDWCL\",\"userId\":"
    "null,\"communityId\":\"G00O7NKV9M\",\"profileId\":\"UAKDIJ23KD\"},\"payload\":{\"id\":\"CP:AK290DKFJD\"}}",
    "\xef\xbb\xbf {\"a\":[0,-1,1.5,2e10,-3.25E-7,1e400,"
    "12345678901234567890123456789012345678901234567890123456789012345678]}",
    "{\"\\u006dodule\":\"\\ud83d\\ude00\\\\\\\"\\n\",\"type\":\"t\",\"type\":\"\",\"payload\":{},\"context\":{}}\r\n\t ",
    "{\"module\":\"M\",\"type\":\"t\",\"a\" : 1.10,\"context\":{\"userId\":\"U\",\"x\":{\"}\":[\"]\"]},\"profileId\":null},"
    "\"payl\\u006fad\":{\"a\":\"\\\\\",\"b\":{\"c\":\"\303\251\\ud83d\\ude00\"}},"
    "\"b\":[],\"context\":{\"x\":{},\"userId\":\"V\"}}",
    "{\"a\":{\"b\":[true,false,null,[[[[{}]]]],\"\"]},\"A\":1e999}",
    "",
};

FUZZ_MAIN
