/*
 * SPDX-License-Identifier: ISC
 *
 * Calls of the canD API. Handlers make the path of ids that come out of events, and events come from anybody who knows
 * the URL. So the path is checked: no id may lead the token to another object of the API than the handler meant, or to
 * another host.
 */
#include <config.h>

#include "http/api.h"

#include "base/memory.h"
#include "http/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_BYTES (8 * 1024 * 1024)

/* Returns whether a segment of a path is "." or "..", a dot being written as such or as %2e. */
static bool is_dot_segment(const char *segment, size_t length)
{
    size_t dots = 0, at = 0;

    while (at < length) {
        size_t step = segment[at] == '.' ? 1 : length - at >= 3 && strncasecmp(segment + at, "%2e", 3) == 0 ? 3 : 0;

        if (step == 0)
            return false;
        at += step;
        dots++;
    }
    return dots == 1 || dots == 2;
}

/* Returns what is wrong with the path, or NULL. */
static const char *path_fault(const char *path)
{
    size_t length = strcspn(path, "?");

    if (*path != '/')
        return "the path must begin with a slash";
    for (const char *at = path; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f)
            return "the path holds a blank, a control character or one that is not ASCII: write it as %XX";
        if (*at == '#')
            return "the path holds a #: write it as %23";
    }
    for (size_t start = 1, end; start <= length; start = end + 1) {
        end = start + strcspn(path + start, "/?");
        if (is_dot_segment(path + start, end - start))
            return "the path holds a segment . or ..";
    }
    return NULL;
}

enum result api_call(struct http *http, const char *base, const struct api_request *request, struct http_answer *answer,
                     struct err *err)
{
    const char *fault = path_fault(request->path);
    struct http_request sent = {.method = request->method,
                                .body = request->body,
                                .body_length = request->body != NULL ? strlen(request->body) : 0,
                                .timeout_ms = request->timeout_ms,
                                .answer_bytes = ANSWER_BYTES};
    char *url, *authorization, *community, *profile = NULL;
    enum result result;
    size_t count = 0;

    *answer = (struct http_answer){0};
    if (fault != NULL) {
        err_set(err, "%s", fault);
        return RESULT_FAIL;
    }
    sent.url = url = url_join(base, request->path);
    sent.headers[count++] = authorization = memory_format("authorization: Bearer %s", request->bot_token);
    sent.headers[count++] = community = memory_format("x-can-community-id: %s", request->community_id);
    if (request->profile_id != NULL)
        sent.headers[count++] = profile = memory_format("x-can-profile-id: %s", request->profile_id);
    sent.headers[count++] = "accept: application/json";
    if (request->body != NULL)
        sent.headers[count++] = "content-type: application/json";
    result = http_send(http, &sent, answer, err);
    explicit_bzero(authorization, strlen(authorization));
    free(authorization);
    free(community);
    free(profile);
    free(url);
    return result;
}
