/*
 * SPDX-License-Identifier: ISC
 *
 * Calls of the canD API: the base URL (setting api_url), the bot token as `authorization: Bearer`, the community in
 * `x-can-community-id`, JSON in and out. What the API answers is a value: only a call that got no answer fails.
 */
#ifndef CANDHOOK_API_H
#define CANDHOOK_API_H

#include "base/err.h"
#include "http/http.h"

struct api_request {
    const char *method;       /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    const char *path;         /* begins with a slash; may hold a query; joined to the base URL */
    const char *body;         /* JSON text; NULL: none */
    const char *community_id; /* x-can-community-id */
    const char *profile_id;   /* x-can-profile-id; NULL: none */
    const char *bot_token;
    long timeout_ms;
};

/* As http_send. RESULT_FAIL also when method or path are none that can be sent (control characters, blanks, "..",
 * another host). A description never has the token. */
MUST_CHECK enum result api_call(struct http *http, const char *base, const struct api_request *request,
                                struct http_answer *answer, struct err *err);

#endif
