/*
 * SPDX-License-Identifier: ISC
 *
 * Who asks: sessions of the console's users. Nothing is stored for one; its cookie holds the user's name and a
 * fingerprint of what the file of users says of them, sealed, for some hours. So a session ends when the user is
 * removed or changed; all end when the file of web_key is removed.
 */
#ifndef CANDHOOK_SESSION_H
#define CANDHOOK_SESSION_H

#include "conf/conf.h"
#include "conf/web_users.h"
#include "web/web_request.h"

#include <stdbool.h>

/* Starts as {0}; freed by session_free. */
struct session {
    struct web_user user; /* of the name "": nobody has logged in */
    char *cookie;         /* its value; of session_log_in, the value of Set-Cookie */
    char *action;         /* what an action must show: no other site knows it */
};

/* Finds the session of a request; nobody's, when its cookie is not as we made it or its user is not the same any more.
 */
void session_find(const struct conf *conf, const char *key, const struct web_request *request, struct session *session);

enum session_login { SESSION_OPENED, SESSION_REFUSED, SESSION_BUSY, SESSION_BROKEN };

/*
 * Opens a session for the name and the password in the request's form. One try at a time is looked at, and one that
 * fails takes a second: SESSION_BUSY when others' do. *FAILURES are those since the last one that succeeded.
 * SESSION_BROKEN with a description.
 */
enum session_login session_log_in(const struct conf *conf, const char *key, const struct web_request *request,
                                  struct session *session, unsigned *failures, struct err *err);

/* Returns the value of Set-Cookie that ends the session in this browser, allocated. */
char *session_log_out(const struct web_request *request);

/* Returns whether a page of ours sent the request, as far as the browser tells. */
bool session_is_from_here(const struct web_request *request);

/* Returns whether it may be asked for something to read: not by a page of another site, as far as the browser tells. */
bool session_may_ask(const struct web_request *request);

void session_free(struct session *session);

#endif
