/*
 * SPDX-License-Identifier: ISC
 *
 * The FastCGI responder: an event loop over libfcgi. The only module that knows libfcgi.
 */
#ifndef CANDHOOK_FCGI_H
#define CANDHOOK_FCGI_H

#include "base/err.h"
#include "intake/intake.h"

/*
 * Answers requests on LISTENER until a signal tells the program to end; then answers those that had come. RESULT_FAIL
 * when it cannot begin.
 */
MUST_CHECK enum result fcgi_serve(struct intake *intake, int listener, struct err *err);

#endif
