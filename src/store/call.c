/*
 * SPDX-License-Identifier: ISC
 *
 * Parameters of calls.
 */
#include <config.h>

#include "call.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static void call_add(struct call *call, unsigned type, char *value, size_t length, int format)
{
    call->types[call->count] = type;
    call->values[call->count] = value;
    call->lengths[call->count] = (int)length;
    call->formats[call->count++] = format;
}

void call_text(struct call *call, unsigned type, const char *text)
{
    call_add(call, type, text_copy(text), 0, 0);
}

void call_integer(struct call *call, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    call_text(call, OID_INT8, text);
}

void call_uuid(struct call *call, const uint8_t id[UUID_BYTES])
{
    char text[UUID_TEXT];

    call_text(call, OID_UUID, uuid_text(id, text));
}

static char *put32(char *to, uint32_t value)
{
    value = htobe32(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

/* Adds a one-dimensional array in binary form: dimensions, whether nulls occur, type, length, lower bound, elements. */
void call_array(struct call *call, unsigned array_type, unsigned type, const void *context, size_t count,
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
    call_add(call, array_type, value, (size_t)(to - value), 1);
}

static struct element text_element(const void *context, size_t index, uint64_t *spare)
{
    const char *text = ((const char *const *)context)[index];

    (void)spare;
    return (struct element){text, text != NULL ? strlen(text) : 0};
}

void call_texts(struct call *call, const char *const *texts, size_t count)
{
    call_array(call, OID_TEXT_ARRAY, OID_TEXT, texts, count, text_element);
}

void call_free(struct call *call)
{
    for (int i = 0; i < call->count; i++)
        free(call->values[i]);
}
