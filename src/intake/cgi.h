/*
 * SPDX-License-Identifier: ISC
 *
 * The responder as a CGI program: one request from the environment and fd 0, one answer on fd 1.
 */
#ifndef CANDHOOK_CGI_H
#define CANDHOOK_CGI_H

#include "intake/intake.h"
#include "intake/request.h"

#include <stdbool.h>

/* Whether the environment is that of a CGI request. */
bool cgi_is_request(void);

/* Reads and answers the request. Returns the status that was answered. */
enum request_status cgi_answer(struct intake *intake);

/* Reads the request and answers 503: for when there is no intake. */
void cgi_answer_unavailable(void);

#endif
