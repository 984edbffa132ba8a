/*
 * SPDX-License-Identifier: ISC
 *
 * All of it is a stranger's: what is not as it should be is as if it were not there.
 */
#include <config.h>

#include "web/web_request.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

bool web_request_is_for(const struct web_request *request, const char *name)
{
    size_t path = strcspn(request->uri, "?#"), length = strlen(name);

    return path > length && request->uri[path - length - 1] == '/' &&
           strncmp(request->uri + path - length, name, length) == 0;
}

static int hex_digit(char digit)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, digit | 0x20);

    return digit != '\0' && at != NULL && (digit | 0x20) == *at ? (int)(at - digits) : -1;
}

/* Returns the byte that an escape at TEXT stands for, of which LENGTH bytes are there; -1 when it is broken. */
static int decode_escape(const char *text, size_t length)
{
    int high = length >= 3 ? hex_digit(text[1]) : -1, low = length >= 3 ? hex_digit(text[2]) : -1;

    return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

/* Decodes LENGTH bytes of a query. Returns NULL when an escape is broken or a character is not printable ASCII. */
static char *decode_value(const char *text, size_t length)
{
    char *value = memory_allocate(length + 1);
    size_t written = 0;

    for (size_t at = 0; at < length; at += text[at] == '%' ? 3 : 1) {
        int byte = text[at] == '%' ? decode_escape(text + at, length - at) : text[at] == '+' ? ' ' : text[at];

        if (byte < ' ' || byte > '~') {
            free(value);
            return NULL;
        }
        value[written++] = (char)byte;
    }
    value[written] = '\0';
    return value;
}

bool web_request_asks(const struct web_request *request, const char *name)
{
    const char *at = request->uri + strcspn(request->uri, "?#");
    size_t length = strlen(name);

    while (*at == '?' || *at == '&') {
        at++;
        if (strncmp(at, name, length) == 0 && strchr("=&#", at[length]) != NULL) /* or its end */
            return true;
        at += strcspn(at, "&#");
    }
    return false;
}

char *web_request_parameter(const struct web_request *request, const char *name, unsigned long max)
{
    const char *at = request->uri + strcspn(request->uri, "?#");
    const char *found = NULL;
    size_t length = 0, name_length = strlen(name);
    char *value;

    while (*at == '?' || *at == '&') {
        size_t whole = strcspn(++at, "&#");

        if (strncmp(at, name, name_length) == 0 && at[name_length] == '=') {
            if (found != NULL)
                return NULL;
            found = at + name_length + 1;
            length = whole - name_length - 1;
        }
        at += whole;
    }
    value = found == NULL || length == 0 || length > 3 * max ? NULL : decode_value(found, length);
    if (value == NULL || strlen(value) <= max)
        return value;
    free(value);
    return NULL;
}

char *web_request_cookie(const struct web_request *request, const char *name)
{
    size_t name_length = strlen(name);

    for (const char *at = request->cookies; *at != '\0'; at += *at == ';') {
        size_t whole;

        at += strspn(at, " \t");
        whole = strcspn(at, ";");
        if (whole > name_length && strncmp(at, name, name_length) == 0 && at[name_length] == '=')
            return memory_copy_bytes(at + name_length + 1, whole - name_length - 1);
        at += whole;
    }
    return NULL;
}
