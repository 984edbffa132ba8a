/*
 * SPDX-License-Identifier: ISC
 *
 * Attempts of handlers.
 */
#include <config.h>

#include "work/attempt.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void attempt_begin(struct attempt *attempt)
{
    attempt->state = ATTEMPT_RUNS;
    attempt->outcome.event_id = attempt->delivery->event_id;
    attempt->outcome.started_ms = (uint64_t)clock_real_ms();
    attempt->deadline = clock_monotonic_ms() + attempt->lease->timeout_ms;
}

#define TOKEN_PART 8 /* so much of a token at the end of a detail that was cut is too much */

/* Cuts off a beginning of the token at the end of a text that was cut itself. */
static void cut_token_part(char *detail, const char *token)
{
    size_t length = strlen(detail), part = strlen(token) - 1;

    while (part > length || (part >= TOKEN_PART && memcmp(detail + length - part, token, part) != 0))
        part--;
    if (part >= TOKEN_PART)
        detail[length - part] = '\0';
}

/* Puts [token] for each place where the detail (freed) shows the token that the handler was given: the database knows
 * only the one that is stored now. */
static char *without_token(char *detail, const char *token)
{
    const char *at = detail, *place;
    char *masked;
    size_t size;
    FILE *to;

    if (detail == NULL || token == NULL || *token == '\0')
        return detail;
    cut_token_part(detail, token);
    if (strstr(detail, token) == NULL)
        return detail;
    to = open_memstream(&masked, &size);
    if (to == NULL)
        abort();
    for (; (place = strstr(at, token)) != NULL; at = place + strlen(token))
        fprintf(to, "%.*s[token]", (int)(place - at), at);
    fputs(at, to);
    if (fclose(to) != 0)
        abort();
    free(detail);
    return masked;
}

void attempt_end(struct attempt *attempt, const char *result, char *detail)
{
    attempt->state = ATTEMPT_ENDED;
    attempt->outcome.result = result;
    attempt->outcome.detail = without_token(detail, attempt->delivery->bot_token);
    attempt->outcome.finished_ms = (uint64_t)clock_real_ms();
}

void attempt_end_with(struct attempt *attempt, const char *result, const char *format, ...)
{
    char *detail;
    va_list args;

    va_start(args, format);
    if (vasprintf(&detail, format, args) < 0)
        abort();
    va_end(args);
    attempt_end(attempt, result, detail);
}

void attempt_free(struct attempt *attempt)
{
    free(attempt->outcome.detail);
    attempt->outcome.detail = NULL;
}
