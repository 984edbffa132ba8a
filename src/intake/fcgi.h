/*
 * SPDX-License-Identifier: ISC
 *
 * The FastCGI responder: an event loop over libfcgi. The only module that knows libfcgi.
 */
#ifndef CANDHOOK_FCGI_H
#define CANDHOOK_FCGI_H

#include "base/err.h"
#include "intake/intake.h"

/* Whether fd 0 is a listening socket, as a FastCGI front or spawner hands it over. Asks the kernel, changes nothing. */
int fcgi_is_listening(int fd);

/* Opens a unix socket (mode 0660) at PATH; a socket that nobody listens on is replaced. */
MUST_CHECK enum result fcgi_listen(const char *path, int *listener, struct err *err);

/* Answers requests on LISTENER until told to end, then finishes what is open. */
MUST_CHECK enum result fcgi_serve(struct intake *intake, int listener, struct err *err);

#endif
