/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/attempt.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PART 8 /* shortest beginning of a token that is removed from the end of a detail */
#define MASKED_BYTES (ATTEMPT_DETAIL_BYTES + 1000) /* the database may shorten it by masking, and cuts last */

void attempt_begin(struct attempt *attempt)
{
    attempt->state = ATTEMPT_RUNS;
    attempt->outcome.event_id = attempt->delivery->event_id;
    attempt->outcome.started_ms = (uint64_t)clock_real_ms();
    attempt->deadline = clock_monotonic_ms() + attempt->lease->timeout_ms;
}

/* Removes a beginning of the token from the end of the detail, where the output that it comes from may have been cut.
 */
static void cut_token_part(char *detail, const char *token)
{
    size_t length = strlen(detail), part = strlen(token) - 1;

    while (part > length || (part >= TOKEN_PART && memcmp(detail + length - part, token, part) != 0))
        part--;
    if (part >= TOKEN_PART)
        detail[length - part] = '\0';
}

/*
 * Returns DETAIL (taken over) with [token] wherever TOKEN occurs. The database masks only the token that is stored when
 * the outcome is recorded, which may be a newer one.
 */
static char *mask_token(char *detail, const char *token)
{
    const char *rest = detail, *found;
    char *masked;
    size_t size;
    FILE *to;

    if (detail == NULL || token == NULL || *token == '\0')
        return detail;
    cut_token_part(detail, token);
    if (strstr(detail, token) == NULL)
        return detail;
    to = memory_open_stream(&masked, &size);
    for (; (found = strstr(rest, token)) != NULL; rest = found + strlen(token))
        fprintf(to, "%.*s[token]", (int)(found - rest), rest);
    fputs(rest, to);
    memory_close_stream(to);
    free(detail);
    return masked;
}

/* Cuts a detail that is masked: one that were cut before might end or go on with a part of the token. */
static char *cut_detail(char *masked)
{
    if (masked != NULL && strlen(masked) > MASKED_BYTES)
        masked[MASKED_BYTES] = '\0';
    return masked;
}

void attempt_end(struct attempt *attempt, const char *result, char *detail)
{
    attempt->state = ATTEMPT_ENDED;
    attempt->outcome.result = result;
    attempt->outcome.detail = cut_detail(mask_token(detail, attempt->delivery->bot_token));
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
