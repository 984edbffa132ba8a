/*
 * SPDX-License-Identifier: ISC
 *
 * The way by which a community installs the App: .../install sends its admin to the platform, which sends them back to
 * .../callback with a code; the code is exchanged for tokens, and the bot token is stored.
 */
#ifndef CANDHOOK_INSTALL_H
#define CANDHOOK_INSTALL_H

#include "conf/conf.h"
#include "http/http.h"
#include "store/store.h"
#include "web/web_answer.h"
#include "web/web_request.h"

/* What answers requests, one at a time. Everything is borrowed. */
struct install {
    const struct conf *conf;
    const char *key;           /* of the seals */
    const char *client_secret; /* NULL: there is none */
    struct http *http;
    struct store *store;
};

/* Answers GET .../install and GET .../callback. */
void install_begin(struct install *install, const struct web_request *request, struct web_answer *answer);
void install_callback(struct install *install, const struct web_request *request, struct web_answer *answer);

#endif
