/*
 * SPDX-License-Identifier: ISC
 *
 * Checks the bytes of a body before cJSON parses them. cJSON accepts what jsonb refuses: invalid UTF-8, control
 * characters as white space and inside strings, \u0000 (which ends its string) and \u without digits (which it reads as
 * \u0000). Only payload and extra pass through jsonb, so this file checks the whole body as strictly as jsonb would.
 *
 * Numbers are checked here, against JSON's grammar, and then overwritten with "0" and blanks: cJSON never reads one.
 * Some versions of it read only 63 characters of a number, or expect the decimal point of the locale. The digits are
 * for PostgreSQL, which gets them from the body.
 */
#include <config.h>

#include "base/utf8.h"
#include "event/event_inside.h"

#include <ctype.h>
#include <string.h>

size_t event_byte_number(const struct scan *scan, const char *at)
{
    return (size_t)(at - scan->start) + 1;
}

/* ---- numbers ---- */

static const char *skip_digits(const char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Reads the digits of an exponent. *EXPONENT is at most EVENT_EXPONENT_MAX + 1, however many digits there are. */
static const char *skip_exponent(const char *at, int *exponent)
{
    for (*exponent = 0; isdigit((unsigned char)*at); at++) {
        *exponent = *exponent * 10 + (*at - '0');
        if (*exponent > EVENT_EXPONENT_MAX)
            *exponent = EVENT_EXPONENT_MAX + 1;
    }
    return at;
}

const char *event_number_end(const char *at, int *exponent)
{
    const char *start;

    *exponent = 0;
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
    int exponent;
    const char *end = event_number_end(start, &exponent);

    if (end == NULL) {
        err_set(scan->why, "not JSON: a number at byte %zu", event_byte_number(scan, start));
        return RESULT_FAIL;
    }
    if (exponent > EVENT_EXPONENT_MAX) {
        err_set(scan->why, "the number at byte %zu has an exponent beyond %d", event_byte_number(scan, start),
                EVENT_EXPONENT_MAX);
        return RESULT_FAIL;
    }
    scan->at += end - start;
    memset(start, ' ', (size_t)(end - start));
    *start = '0';
    return RESULT_OK;
}

/* ---- strings ---- */

static enum result refuse_control(struct scan *scan)
{
    err_set(scan->why, "a control character at byte %zu", event_byte_number(scan, scan->at));
    return RESULT_FAIL;
}

/* Scans from a backslash to the byte after it. cJSON checks the other escapes, and the pairs of surrogates. */
static enum result scan_escape(struct scan *scan)
{
    const char *escape = scan->at, *digit = escape + 2;

    if (escape + 1 == scan->end || *++scan->at != 'u')
        return RESULT_OK;
    while (digit < escape + 6 && isxdigit((unsigned char)*digit))
        digit++;
    if (digit < escape + 6)
        err_set(scan->why, "not JSON from byte %zu on", event_byte_number(scan, escape));
    else if (memcmp(escape + 2, "0000", 4) == 0)
        err_set(scan->why, "a NUL character (\\u0000) at byte %zu", event_byte_number(scan, escape));
    else
        return RESULT_OK;
    return RESULT_FAIL;
}

/* Scans a string from quote to quote. One that is not closed ends with the body: cJSON reports that. */
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

/* ---- the body ---- */

/* Scans a byte that belongs to neither a string nor a number. */
static enum result scan_other(struct scan *scan, size_t *depth)
{
    char c = *scan->at;

    if ((unsigned char)c < ' ' && !event_is_space(c))
        return refuse_control(scan);
    if ((c == '{' || c == '[') && ++*depth > EVENT_NESTING_MAX) {
        err_set(scan->why, "nested more than %d deep at byte %zu", EVENT_NESTING_MAX,
                event_byte_number(scan, scan->at));
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

/* Returns the first byte after a byte order mark and white space. */
static char *object_start(const struct scan *scan)
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

    *object = scan->at = object_start(scan);
    if (length == 0)
        err_set(scan->why, "the body is empty");
    else if (nul != NULL)
        err_set(scan->why, "a NUL byte at byte %zu", event_byte_number(scan, nul));
    else if (**object != '{')
        err_set(scan->why, "the body is not a JSON object");
    else if (good < length)
        err_set(scan->why, "not UTF-8 at byte %zu", good + 1);
    else
        return scan_tokens(scan);
    return RESULT_FAIL;
}
