/*
 * SPDX-License-Identifier: ISC
 *
 * The responder as a CGI program: one request from the environment and fd 0, one answer on fd 1.
 */
#ifndef CANDHOOK_CGI_H
#define CANDHOOK_CGI_H

#include "intake.h"

/* Whether the environment is that of a CGI request. */
int cgi_is_request(void);

/* Answers the request. Returns the answer's status, or -1 when the front did not take it. */
int cgi_answer(struct intake *intake);

/* Answers 503: for when there is no intake. */
void cgi_answer_unavailable(void);

#endif
