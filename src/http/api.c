/*
 * SPDX-License-Identifier: ISC
 *
 * Calls of the canD API. A path comes from handlers, who make it of ids out of events: it is looked at, so that no id
 * can lead the token to another place of the API than the one that the handler meant, or to another host.
 */
#include <config.h>

#include "http/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_BYTES (8 * 1024 * 1024)

/* Whether a segment of the path is "." or "..", also when it is written with %2e. */
static int is_dots(const char *segment, size_t length)
{
    size_t dots = 0, at = 0;

    while (at < length) {
        size_t step = segment[at] == '.' ? 1 : length - at >= 3 && strncasecmp(segment + at, "%2e", 3) == 0 ? 3 : 0;

        if (step == 0)
            return 0;
        at += step;
        dots++;
    }
    return dots == 1 || dots == 2;
}

/* What is wrong with the path, or NULL. */
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
        if (is_dots(path + start, end - start))
            return "the path holds a segment . or ..";
    }
    return NULL;
}

static char *join(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *join(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

enum result api_call(struct http *http, const char *base, const struct api_request *request, struct http_answer *answer,
                     struct err *err)
{
    const char *fault = path_fault(request->path);
    size_t base_length = strlen(base);
    struct http_request sent = {.method = request->method,
                                .body = request->body,
                                .body_length = request->body != NULL ? strlen(request->body) : 0,
                                .timeout_ms = request->timeout_ms,
                                .answer_bytes = ANSWER_BYTES};
    char *url, *authorization, *community, *profile = NULL;
    enum result result;
    size_t count = 0;

    memset(answer, 0, sizeof *answer);
    if (fault != NULL) {
        err_set(err, "%s", fault);
        return RESULT_FAIL;
    }
    while (base_length > 0 && base[base_length - 1] == '/')
        base_length--;
    url = join("%.*s%s", (int)base_length, base, request->path);
    sent.url = url;
    sent.headers[count++] = authorization = join("authorization: Bearer %s", request->bot_token);
    sent.headers[count++] = community = join("x-can-community-id: %s", request->community_id);
    if (request->profile_id != NULL)
        sent.headers[count++] = profile = join("x-can-profile-id: %s", request->profile_id);
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
