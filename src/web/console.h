/*
 * SPDX-License-Identifier: ISC
 *
 * The console: a page for people (web/ of the source) and the API that it asks, .../console/api/NAME. The API is
 * described in candhook-web.fcgi(8).
 */
#ifndef CANDHOOK_CONSOLE_H
#define CANDHOOK_CONSOLE_H

#include "conf/conf.h"
#include "web/web_answer.h"
#include "web/web_request.h"

/* Answers a request for PATH below .../console/. KEY is that of web_key. */
void console_answer(const struct conf *conf, const char *key, const char *path, const struct web_request *request,
                    struct web_answer *answer);

#endif
