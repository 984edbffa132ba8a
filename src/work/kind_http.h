/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `http`: a POST of the event to a URL, as canD itself would send it.
 */
#ifndef CANDHOOK_KIND_HTTP_H
#define CANDHOOK_KIND_HTTP_H

#include "http/http.h"
#include "work/attempt.h"

/* Begins an attempt; the pool gives it back as context. What cannot be sent has ended when this returns. */
void kind_http_begin(struct attempt *attempt, struct http *pool);

/* Ends the attempts whose answers are here. Returns how many. */
size_t kind_http_collect(struct http *pool);

/* Breaks off an attempt that runs. */
void kind_http_break_off(struct attempt *attempt, struct http *pool);

#endif
