/*
 * SPDX-License-Identifier: ISC
 *
 * A tree of cJSON's that only grows at its end. open[] is the path from the root to the container that grows.
 */
#include <config.h>

#include "event/json_write.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "event/event_inside.h"

#include <cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct json_writer {
    cJSON *open[JSON_WRITE_DEPTH];
    size_t depth; /* how many of them are in use; at least 1 */
};

struct json_writer *json_write_new(void)
{
    struct json_writer *writer = memory_new(1, sizeof *writer);

    event_set_cjson_hooks();
    writer->open[writer->depth++] = cJSON_CreateObject();
    return writer;
}

/* Adds ITEM, which is given away. */
static void add_item(struct json_writer *writer, const char *name, cJSON *item)
{
    cJSON *parent = writer->open[writer->depth - 1];
    bool added = false;

    if (cJSON_IsObject(parent) && name != NULL)
        added = cJSON_AddItemToObject(parent, name, item);
    else if (cJSON_IsArray(parent) && name == NULL)
        added = cJSON_AddItemToArray(parent, item);
    if (!added)
        abort();
}

void json_write_text(struct json_writer *writer, const char *name, const char *text)
{
    char *copy = utf8_copy(text);

    add_item(writer, name, copy != NULL ? cJSON_CreateString(copy) : cJSON_CreateNull());
    free(copy);
}

void json_write_integer(struct json_writer *writer, const char *name, int64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRId64, value);
    json_write_json(writer, name, digits);
}

void json_write_bool(struct json_writer *writer, const char *name, bool value)
{
    add_item(writer, name, cJSON_CreateBool(value));
}

void json_write_null(struct json_writer *writer, const char *name)
{
    add_item(writer, name, cJSON_CreateNull());
}

void json_write_json(struct json_writer *writer, const char *name, const char *json)
{
    add_item(writer, name, cJSON_CreateRaw(json));
}

static void open_container(struct json_writer *writer, const char *name, cJSON *container)
{
    add_item(writer, name, container);
    if (writer->depth == JSON_WRITE_DEPTH)
        abort();
    writer->open[writer->depth++] = container;
}

void json_write_object(struct json_writer *writer, const char *name)
{
    open_container(writer, name, cJSON_CreateObject());
}

void json_write_array(struct json_writer *writer, const char *name)
{
    open_container(writer, name, cJSON_CreateArray());
}

void json_write_close(struct json_writer *writer)
{
    if (writer->depth == 1)
        abort();
    writer->depth--;
}

char *json_write_finish(struct json_writer *writer)
{
    char *text = cJSON_PrintUnformatted(writer->open[0]);

    if (text == NULL)
        abort();
    cJSON_Delete(writer->open[0]);
    free(writer);
    return text;
}
