/*
 * SPDX-License-Identifier: ISC
 *
 * URLs as handlers. 2xx is ok. 408, 425, 429, 5xx and no answer are tried again, not before Retry-After. Every other
 * answer fails at once: the same request would get it again. The status alone decides: a POST that was answered 200 is
 * not repeated because the rest of the answer is too long or breaks off.
 */
#include <config.h>

#include "work/kind_http.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The headers of a request while it runs. */
struct post_headers {
    char event_id[64], attempt[48];
    char *authorization;
};

static void free_headers(struct attempt *attempt)
{
    struct post_headers *headers = attempt->kind_data;

    if (headers->authorization != NULL)
        explicit_bzero(headers->authorization, strlen(headers->authorization));
    free(headers->authorization);
    free(headers);
    attempt->kind_data = NULL;
}

static struct post_headers *new_headers(const struct store_delivery *delivery)
{
    struct post_headers *headers = memory_new(1, sizeof *headers);

    if (delivery->bot_token != NULL)
        headers->authorization = memory_format("Authorization: Bearer %s", delivery->bot_token);
    snprintf(headers->event_id, sizeof headers->event_id, "Candhook-Event-Id: %s", delivery->event_id);
    snprintf(headers->attempt, sizeof headers->attempt, "Candhook-Attempt: %d", delivery->attempt);
    return headers;
}

void kind_http_begin(struct attempt *attempt, struct http *http)
{
    const struct store_delivery *delivery = attempt->delivery;
    struct post_headers *headers = new_headers(delivery);
    const struct http_request request = {
        .method = "POST",
        .url = attempt->lease->target,
        .headers = {"Content-Type: application/json", headers->event_id, headers->attempt, headers->authorization},
        .body = delivery->body,
        .body_length = strlen(delivery->body),
        .timeout_ms = attempt->lease->timeout_ms,
        .answer_bytes = ATTEMPT_DETAIL_BYTES,
        .status_only = true,
    };
    struct err err;

    attempt_begin(attempt);
    attempt->kind_data = headers;
    if (http_start(http, &request, attempt, &err) == RESULT_OK)
        return;
    free_headers(attempt);
    attempt_end_with(attempt, "failed", "%s", err.text);
}

/* Returns the result of an answer with this status. */
static const char *judge_status(int status)
{
    if (status >= 200 && status < 300)
        return "ok";
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return "retry";
    return "failed";
}

static void end_by_response(struct attempt *attempt, const struct http_answer *answer)
{
    const char *moved = answer->status >= 300 && answer->status < 400 ? " (redirections are not followed)" : "";

    for (size_t i = 0; i < answer->body_length; i++)
        if (answer->body[i] == '\0')
            answer->body[i] = '?';
    if (answer->retry_after > 0)
        attempt->outcome.delay = answer->retry_after;
    attempt_end_with(attempt, judge_status(answer->status), "HTTP %d%s%s%s%s%s", answer->status,
                     *answer->reason != '\0' ? " " : "", answer->reason, moved, answer->body_length > 0 ? ": " : "",
                     answer->body);
}

void kind_http_collect(struct http *http)
{
    struct http_answer answer;
    struct attempt *attempt;
    enum result result;
    struct err err;

    while ((attempt = http_next(http, &result, &answer, &err)) != NULL) {
        free_headers(attempt);
        if (result == RESULT_OK) {
            end_by_response(attempt, &answer);
            http_answer_free(&answer);
        } else {
            attempt_end_with(attempt, result == RESULT_RETRY ? "retry" : "failed", "%s", err.text);
        }
    }
}

void kind_http_cancel(struct attempt *attempt, struct http *http)
{
    http_stop(http, attempt);
    free_headers(attempt);
}
