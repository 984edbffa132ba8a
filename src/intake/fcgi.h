/*
 * SPDX-License-Identifier: ISC
 *
 * The FastCGI responder: an event loop over libfcgi. The only module that knows libfcgi.
 */
#ifndef CANDHOOK_FCGI_H
#define CANDHOOK_FCGI_H

#include "intake/intake.h"

/* Answers requests on LISTENER until a signal tells the program to end; then answers those that had come. */
void fcgi_serve(struct intake *intake, int listener);

#endif
