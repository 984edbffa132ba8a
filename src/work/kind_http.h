/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `http`: a POST of the event to a URL, as canD itself would send it.
 */
#ifndef CANDHOOK_KIND_HTTP_H
#define CANDHOOK_KIND_HTTP_H

#include "http/http.h"
#include "work/attempt.h"

/* Begins an attempt; it is the request's context in HTTP. When it cannot be sent, it has ended when this returns. */
void kind_http_begin(struct attempt *attempt, struct http *http);

/* Ends the attempts whose requests are done. */
void kind_http_collect(struct http *http);

/* Cancels the request of an attempt that runs. The caller ends the attempt. */
void kind_http_cancel(struct attempt *attempt, struct http *http);

#endif
