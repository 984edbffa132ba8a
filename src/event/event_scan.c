/*
 * SPDX-License-Identifier: ISC
 *
 * The bytes of a body, before cJSON sees them. What does not go into the columns that are jsonb is judged by nobody
 * else, so this is as strict as PostgreSQL where cJSON is not: it looks at no UTF-8, takes every control character for
 * white space, lets them stand in strings, ends a string at \u0000, and takes a \u without digits for that.
 *
 * Numbers are judged by JSON's grammar, and "0" and blanks written over them: some versions of cJSON read only 63
 * characters of one, or want the locale's decimal point, and the digits are the database's business.
 */
#include <config.h>

#include "base/utf8.h"
#include "event/event_inside.h"

#include <ctype.h>
#include <string.h>

size_t event_place(const struct scan *scan, const char *at)
{
    return (size_t)(at - scan->start) + 1;
}

/* ---- numbers ---- */

static char *skip_digits(char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Reads the digits of an exponent; what is too large to matter stays EVENT_EXPONENT_MAX + 1. */
static char *skip_exponent(char *at, int *exponent)
{
    for (*exponent = 0; isdigit((unsigned char)*at); at++) {
        *exponent = *exponent * 10 + (*at - '0');
        if (*exponent > EVENT_EXPONENT_MAX)
            *exponent = EVENT_EXPONENT_MAX + 1;
    }
    return at;
}

/* Returns the end of the number at AT, or NULL when it is not written as JSON has it. */
static char *number_end(char *at, int *exponent)
{
    char *start;

    at += *at == '-';
    start = at;
    at = skip_digits(at);
    if (at == start || (*start == '0' && at > start + 1))
        return NULL;
    if (*at == '.') {
        start = ++at;
        at = skip_digits(at);
        if (at == start)
            return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        start = at;
        at = skip_exponent(at, exponent);
        if (at == start)
            return NULL;
    }
    return event_is_space(*at) || *at == ',' || *at == ']' || *at == '}' || *at == '\0' ? at : NULL;
}

static enum result scan_number(struct scan *scan)
{
    char *start = scan->at;
    int exponent = 0;

    scan->at = number_end(start, &exponent);
    if (scan->at == NULL) {
        err_set(scan->why, "not JSON: a number at byte %zu", event_place(scan, start));
        return RESULT_FAIL;
    }
    if (exponent > EVENT_EXPONENT_MAX) {
        err_set(scan->why, "the number at byte %zu has an exponent beyond %d", event_place(scan, start),
                EVENT_EXPONENT_MAX);
        return RESULT_FAIL;
    }
    memset(start, ' ', (size_t)(scan->at - start));
    *start = '0';
    return RESULT_OK;
}

/* ---- strings ---- */

static enum result refuse_control(struct scan *scan)
{
    err_set(scan->why, "a control character at byte %zu", event_place(scan, scan->at));
    return RESULT_FAIL;
}

/* From a backslash to the byte behind it. Escapes other than \u are cJSON's to judge, and the halves of surrogates. */
static enum result scan_escape(struct scan *scan)
{
    const char *escape = scan->at, *digit = escape + 2;

    if (escape + 1 == scan->end || *++scan->at != 'u')
        return RESULT_OK;
    while (digit < escape + 6 && isxdigit((unsigned char)*digit))
        digit++;
    if (digit < escape + 6)
        err_set(scan->why, "not JSON from byte %zu on", event_place(scan, escape));
    else if (memcmp(escape + 2, "0000", 4) == 0)
        err_set(scan->why, "a NUL character (\\u0000) at byte %zu", event_place(scan, escape));
    else
        return RESULT_OK;
    return RESULT_FAIL;
}

/* From the first quote to behind the last, or to the end of the body: cJSON says that then. */
static enum result scan_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        if ((unsigned char)*scan->at < ' ')
            return refuse_control(scan);
        if (*scan->at == '\\' && scan_escape(scan) != RESULT_OK)
            return RESULT_FAIL;
    }
    if (scan->at < scan->end)
        scan->at++;
    return RESULT_OK;
}

/* ---- the whole ---- */

/* A byte that belongs to neither string nor number. */
static enum result scan_other(struct scan *scan, size_t *depth)
{
    char c = *scan->at;

    if ((unsigned char)c < ' ' && !event_is_space(c))
        return refuse_control(scan);
    if ((c == '{' || c == '[') && ++*depth > EVENT_NESTING_MAX) {
        err_set(scan->why, "nested more than %d deep at byte %zu", EVENT_NESTING_MAX, event_place(scan, scan->at));
        return RESULT_FAIL;
    }
    *depth -= (c == '}' || c == ']') && *depth > 0;
    scan->at++;
    return RESULT_OK;
}

static enum result scan_tokens(struct scan *scan)
{
    enum result result = RESULT_OK;
    size_t depth = 0;

    while (scan->at < scan->end && result == RESULT_OK) {
        char c = *scan->at;

        if (c == '"')
            result = scan_string(scan);
        else if (c == '-' || isdigit((unsigned char)c))
            result = scan_number(scan);
        else
            result = scan_other(scan, &depth);
    }
    return result;
}

/* Where the object begins: behind a BOM and white space. */
static char *find_object(const struct scan *scan)
{
    char *at = scan->start;

    if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (event_is_space(*at))
        at++;
    return at;
}

enum result event_scan(struct scan *scan, const char **object)
{
    size_t length = (size_t)(scan->end - scan->start), good = utf8_span(scan->start, length);
    const char *nul = memchr(scan->start, '\0', length);

    *object = scan->at = find_object(scan);
    if (length == 0)
        err_set(scan->why, "the body is empty");
    else if (nul != NULL)
        err_set(scan->why, "a NUL byte at byte %zu", event_place(scan, nul));
    else if (**object != '{')
        err_set(scan->why, "the body is not a JSON object");
    else if (good < length)
        err_set(scan->why, "not UTF-8 at byte %zu", good + 1);
    else
        return scan_tokens(scan);
    return RESULT_FAIL;
}
