/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *memory_or_abort(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

void *memory_new(size_t count, size_t size)
{
    return memory_or_abort(calloc(count > 0 ? count : 1, size));
}

void *memory_allocate(size_t size)
{
    return memory_or_abort(malloc(size > 0 ? size : 1));
}

void *memory_resize(void *old, size_t count, size_t size)
{
    return memory_or_abort(reallocarray(old, count > 0 ? count : 1, size));
}

char *memory_copy_text(const char *text)
{
    return text != NULL ? memory_or_abort(strdup(text)) : NULL;
}

char *memory_copy_bytes(const void *bytes, size_t length)
{
    char *copy = memory_allocate(length + 1);

    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void memory_free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

char *memory_format(const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

FILE *memory_open_stream(char **text, size_t *size)
{
    return memory_or_abort(open_memstream(text, size));
}

void memory_close_stream(FILE *stream)
{
    if (fclose(stream) != 0)
        abort();
}
