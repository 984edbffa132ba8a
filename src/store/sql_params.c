/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "store/sql_params.h"

#include "base/memory.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes over VALUE. */
static void add_param(struct sql_params *params, unsigned type, char *value, size_t length, int format)
{
    if (params->count == SQL_PARAMS_MAX)
        abort();
    params->types[params->count] = type;
    params->values[params->count] = value;
    params->lengths[params->count] = (int)length;
    params->formats[params->count++] = format;
}

void sql_params_text(struct sql_params *params, unsigned type, const char *text)
{
    add_param(params, type, memory_copy_text(text), text != NULL ? strlen(text) : 0, 0);
}

void sql_params_bool(struct sql_params *params, bool value)
{
    sql_params_text(params, OID_BOOL, value ? "true" : "false");
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

/* Returns the time as PostgreSQL has it: the microseconds since 2000. */
static uint64_t binary_time(int64_t ms)
{
    return htobe64((uint64_t)((ms - INT64_C(946684800000)) * 1000));
}

void sql_params_time(struct sql_params *params, int64_t ms)
{
    uint64_t *value = ms != 0 ? memory_new(1, sizeof *value) : NULL;

    if (value != NULL)
        *value = binary_time(ms);
    add_param(params, OID_TIMESTAMPTZ, (char *)value, sizeof *value, 1);
}

static char *put_uint32(char *to, uint32_t value)
{
    value = htobe32(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

/* Adds a one-dimensional array in binary form: dimensions, whether nulls occur, type, length, lower bound, elements. */
void sql_params_array(struct sql_params *params, unsigned array_type, unsigned type, const void *context, size_t count,
                      sql_element_fn *element)
{
    size_t size = 20;
    uint64_t scratch;
    char *value, *to;

    for (size_t i = 0; i < count; i++)
        size += 4 + element(context, i, &scratch).length;
    value = to = memory_new(size, 1);
    to = put_uint32(to, count > 0 ? 1 : 0);
    to = put_uint32(to, 1);
    to = put_uint32(to, type);
    if (count > 0) {
        to = put_uint32(to, (uint32_t)count);
        to = put_uint32(to, 1);
    }
    for (size_t i = 0; i < count; i++) {
        struct sql_element item = element(context, i, &scratch);

        to = put_uint32(to, item.bytes != NULL ? (uint32_t)item.length : UINT32_MAX);
        if (item.length > 0)
            memcpy(to, item.bytes, item.length);
        to += item.length;
    }
    add_param(params, array_type, value, (size_t)(to - value), 1);
}

struct sql_element sql_element_text(const char *text)
{
    return (struct sql_element){text, text != NULL ? strlen(text) : 0};
}

struct sql_element sql_element_time(int64_t ms, uint64_t *scratch)
{
    *scratch = binary_time(ms);
    return (struct sql_element){scratch, sizeof *scratch};
}

static struct sql_element array_text(const void *context, size_t index, uint64_t *scratch)
{
    (void)scratch;
    return sql_element_text(((const char *const *)context)[index]);
}

void sql_params_texts(struct sql_params *params, const char *const *texts, size_t count)
{
    sql_params_array(params, OID_TEXT_ARRAY, OID_TEXT, texts, count, array_text);
}

void sql_params_free(struct sql_params *params)
{
    for (int i = 0; i < params->count; i++)
        free(params->values[i]);
}
