/*
 * SPDX-License-Identifier: ISC
 *
 * Calls of the canD API: the bot token in `authorization: Bearer`, the community in `x-can-community-id`, JSON in and
 * out. An answer of any status is a success here; only a call without an answer fails.
 */
#ifndef CANDHOOK_API_H
#define CANDHOOK_API_H

#include "base/err.h"
#include "http/http.h"

struct api_request {
    const char *method;       /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    const char *path;         /* begins with a slash, may have a query; is added to the base URL */
    const char *body;         /* JSON; NULL: none */
    const char *community_id; /* x-can-community-id */
    const char *profile_id;   /* x-can-profile-id; NULL: none */
    const char *bot_token;
    long timeout_ms;
};

/*
 * Calls the API at BASE (the setting api_url). Results are those of http_send. RESULT_FAIL also when the path could
 * lead elsewhere or cannot be sent: it does not begin with a slash, has a segment "." or "..", a blank or a control
 * character. No description of an error contains the token.
 */
MUST_CHECK enum result api_call(struct http *http, const char *base, const struct api_request *request,
                                struct http_answer *answer, struct err *err);

#endif
