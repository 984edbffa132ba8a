/*
 * SPDX-License-Identifier: ISC
 *
 * Parameters of calls.
 */
#include <config.h>

#include "store/sql_params.h"

#include "base/memory.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void sql_params_add(struct sql_params *params, unsigned type, char *value, size_t length, int format)
{
    params->types[params->count] = type;
    params->values[params->count] = value;
    params->lengths[params->count] = (int)length;
    params->formats[params->count++] = format;
}

void sql_params_text(struct sql_params *params, unsigned type, const char *text)
{
    sql_params_add(params, type, memory_copy_text(text), 0, 0);
}

void sql_params_integer(struct sql_params *params, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    sql_params_text(params, OID_INT8, text);
}

void sql_params_uuid(struct sql_params *params, const uint8_t id[UUID_BYTES])
{
    char text[UUID_TEXT];

    sql_params_text(params, OID_UUID, uuid_text(id, text));
}

static char *put32(char *to, uint32_t value)
{
    value = htobe32(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

/* Adds a one-dimensional array in binary form: dimensions, whether nulls occur, type, length, lower bound, elements. */
void sql_params_array(struct sql_params *params, unsigned array_type, unsigned type, const void *context, size_t count,
                      element_fn *element)
{
    size_t size = 20;
    uint64_t spare;
    char *value, *to;

    for (size_t i = 0; i < count; i++)
        size += 4 + element(context, i, &spare).length;
    value = to = malloc(size);
    if (value == NULL)
        abort();
    to = put32(to, count > 0 ? 1 : 0);
    to = put32(to, 1);
    to = put32(to, type);
    if (count > 0) {
        to = put32(to, (uint32_t)count);
        to = put32(to, 1);
    }
    for (size_t i = 0; i < count; i++) {
        struct element item = element(context, i, &spare);

        to = put32(to, item.bytes != NULL ? (uint32_t)item.length : UINT32_MAX);
        if (item.length > 0)
            memcpy(to, item.bytes, item.length);
        to += item.length;
    }
    sql_params_add(params, array_type, value, (size_t)(to - value), 1);
}

static struct element text_element(const void *context, size_t index, uint64_t *spare)
{
    const char *text = ((const char *const *)context)[index];

    (void)spare;
    return (struct element){text, text != NULL ? strlen(text) : 0};
}

void sql_params_texts(struct sql_params *params, const char *const *texts, size_t count)
{
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, texts, count, text_element);
}

void sql_params_free(struct sql_params *params)
{
    for (int i = 0; i < params->count; i++)
        free(params->values[i]);
}
