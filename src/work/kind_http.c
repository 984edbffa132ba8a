/*
 * SPDX-License-Identifier: ISC
 *
 * URLs as handlers. 2xx is ok; 408, 425, 429, 5xx and no answer at all are tried again, not before Retry-After; every
 * other answer fails, since the same request would get it again.
 */
#include <config.h>

#include "work/kind_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What lives as long as the request does. */
struct post {
    char event_id[64], attempt[48];
    char *authorization;
};

static void free_post(struct attempt *attempt)
{
    struct post *post = attempt->doing;

    if (post->authorization != NULL)
        explicit_bzero(post->authorization, strlen(post->authorization));
    free(post->authorization);
    free(post);
    attempt->doing = NULL;
}

static struct post *new_post(const struct store_delivery *delivery)
{
    struct post *post = calloc(1, sizeof *post);

    if (post == NULL || (delivery->bot_token != NULL &&
                         asprintf(&post->authorization, "Authorization: Bearer %s", delivery->bot_token) < 0))
        abort();
    snprintf(post->event_id, sizeof post->event_id, "Candhook-Event-Id: %s", delivery->event_id);
    snprintf(post->attempt, sizeof post->attempt, "Candhook-Attempt: %d", delivery->attempt);
    return post;
}

void kind_http_begin(struct attempt *attempt, struct http *pool)
{
    const struct store_delivery *delivery = attempt->delivery;
    struct post *post = new_post(delivery);
    const struct http_request request = {
        .method = "POST",
        .url = attempt->lease->target,
        .headers = {"Content-Type: application/json", post->event_id, post->attempt, post->authorization},
        .body = delivery->body,
        .body_length = strlen(delivery->body),
        .timeout_ms = attempt->lease->timeout_ms,
        .answer_bytes = ATTEMPT_DETAIL_BYTES,
    };
    struct err err;

    attempt_begin(attempt);
    attempt->doing = post;
    if (http_start(pool, &request, attempt, &err) == RESULT_OK)
        return;
    free_post(attempt);
    attempt_end_with(attempt, "failed", "%s", err.text);
}

/* The one place where an HTTP status becomes a result. */
static const char *result_of(int status)
{
    if (status >= 200 && status < 300)
        return "ok";
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return "retry";
    return "failed";
}

static void end_answered(struct attempt *attempt, const struct http_answer *answer)
{
    const char *moved = answer->status >= 300 && answer->status < 400 ? " (redirections are not followed)" : "";

    for (size_t i = 0; i < answer->body_length; i++)
        if (answer->body[i] == '\0')
            answer->body[i] = '?';
    if (answer->retry_after > 0)
        attempt->outcome.delay = answer->retry_after;
    attempt_end_with(attempt, result_of(answer->status), "HTTP %d%s%s%s%s%s", answer->status,
                     *answer->reason != '\0' ? " " : "", answer->reason, moved, answer->body_length > 0 ? ": " : "",
                     answer->body);
}

size_t kind_http_collect(struct http *pool)
{
    struct http_answer answer;
    struct attempt *attempt;
    enum result result;
    struct err err;
    size_t ended = 0;

    for (; (attempt = http_next(pool, &result, &answer, &err)) != NULL; ended++) {
        free_post(attempt);
        if (result == RESULT_OK) {
            end_answered(attempt, &answer);
            http_answer_free(&answer);
        } else {
            attempt_end_with(attempt, result == RESULT_RETRY ? "retry" : "failed", "%s", err.text);
        }
    }
    return ended;
}

void kind_http_break_off(struct attempt *attempt, struct http *pool)
{
    http_stop(pool, attempt);
    free_post(attempt);
    attempt_end_with(attempt, "retry", "broken off: the worker was told to end");
}
