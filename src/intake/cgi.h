/*
 * SPDX-License-Identifier: ISC
 *
 * The responder as a CGI program: one request from the environment and fd 0, one answer on fd 1.
 */
#ifndef CANDHOOK_CGI_H
#define CANDHOOK_CGI_H

#include "intake/intake.h"
#include "intake/request.h"

/* Whether the environment is that of a CGI request. */
int cgi_is_request(void);

/* Answers the request, and returns with what. */
enum status cgi_answer(struct intake *intake);

/* Answers 503, for when there is no intake. The body is read all the same. */
void cgi_answer_unavailable(void);

#endif
