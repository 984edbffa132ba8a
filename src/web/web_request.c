/*
 * SPDX-License-Identifier: ISC
 *
 * All of it is a stranger's: what is not as it should be is as if it were not there.
 */
#include <config.h>

#include "web/web_request.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "event/json_write.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define USUAL_MOUNT "/candhook-app"
#define FORM "application/x-www-form-urlencoded"

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

/* Decodes LENGTH bytes of a query or a form. Returns NULL when an escape is broken, or it is no UTF-8 without controls.
 */
static char *decode_value(const char *text, size_t length)
{
    char *value = memory_allocate(length + 1);
    size_t written = 0;
    int byte = 0;

    for (size_t at = 0; at < length && byte >= 0; at += text[at] == '%' ? 3 : 1) {
        byte =
            text[at] == '%' ? decode_escape(text + at, length - at) : (unsigned char)(text[at] == '+' ? ' ' : text[at]);
        if (byte < ' ' || byte == 0x7f)
            byte = -1;
        value[written++] = (char)byte;
    }
    value[written] = '\0';
    if (byte >= 0 && utf8_span(value, written) == written)
        return value;
    memory_free_secret(value);
    return NULL;
}

static bool is_ascii(const char *text)
{
    while (*text > 0)
        text++;
    return *text == '\0';
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
    if (value == NULL || (strlen(value) <= max && is_ascii(value)))
        return value;
    free(value);
    return NULL;
}

/* Returns the slash behind the mount with which PATH begins; NULL when it begins with none. */
static const char *find_mount_end(const char *path, const char *beside)
{
    const char *host = strstr(beside, "://"), *mount = host != NULL ? strchr(host + 3, '/') : NULL;
    size_t length = mount != NULL ? (size_t)(strrchr(mount, '/') - mount) : 0;
    const char *usual = strstr(path, USUAL_MOUNT "/");

    if (mount != NULL && strncmp(path, mount, length + 1) == 0)
        return path + length;
    return usual != NULL ? usual + sizeof USUAL_MOUNT - 1 : NULL;
}

char *web_request_below(const struct web_request *request, const char *beside, const char *name)
{
    char *path = memory_copy_bytes(request->uri, strcspn(request->uri, "?#")), *below = NULL;
    const char *end = find_mount_end(path, beside);
    size_t length = strlen(name);

    if (end != NULL && strncmp(end + 1, name, length) == 0 && end[length + 1] == '/')
        below = memory_copy_text(end + length + 2);
    free(path);
    return below;
}

/* Adds the parameter in LENGTH bytes at TEXT, NAME=VALUE or NAME. Returns whether it could be decoded. */
static bool add_web_parameter(struct json_writer *json, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals != NULL ? (size_t)(equals - text) : length;
    size_t value_length = equals != NULL ? length - name_length - 1 : 0;
    char *name = decode_value(text, name_length), *value = decode_value(text + length - value_length, value_length);
    bool good = name != NULL && value != NULL;

    if (good)
        json_write_text(json, name, value);
    free(name);
    free(value);
    return good;
}

char *web_request_query(const struct web_request *request)
{
    const char *at = request->uri + strcspn(request->uri, "?#");
    struct json_writer *json = json_write_new();
    bool good = true;
    char *text;

    while (*at == '?' || *at == '&') {
        size_t length = strcspn(++at, "&#");

        if (length > 0)
            good = add_web_parameter(json, at, length) && good;
        at += length;
    }
    text = json_write_finish(json);
    if (good)
        return text;
    free(text);
    return NULL;
}

char *web_request_field(const struct web_request *request, const char *name)
{
    const char *at = request->body;
    size_t name_length = strlen(name);

    if (at == NULL || strncasecmp(request->content_type, FORM, sizeof FORM - 1) != 0)
        return NULL;
    while (*at != '\0') {
        size_t length = strcspn(at, "&");

        if (length > name_length + 1 && strncmp(at, name, name_length) == 0 && at[name_length] == '=')
            return decode_value(at + name_length + 1, length - name_length - 1);
        at += length + (at[length] == '&');
    }
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
