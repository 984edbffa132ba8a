/*
 * SPDX-License-Identifier: ISC
 *
 * One POST: the rule by which it is answered, the same under FastCGI and CGI. No input or output here.
 *
 * The order is: secret (404 for any method, so that a guess learns nothing), method (405), size (413), body (400),
 * spool (503), and 200 when the body is durable.
 */
#ifndef CANDHOOK_REQUEST_H
#define CANDHOOK_REQUEST_H

#include "conf/conf.h"
#include "conf/secrets.h"
#include "spool/segment.h"

#include <stddef.h>

enum status {
    STATUS_NONE = 0, /* not known yet */
    STATUS_OK = 200,
    STATUS_BAD_REQUEST = 400,
    STATUS_NOT_FOUND = 404,
    STATUS_METHOD_NOT_ALLOWED = 405,
    STATUS_TOO_LARGE = 413,
    STATUS_UNAVAILABLE = 503
};

/* What the front says of a request; any of them may be NULL. */
struct request_head {
    const char *method;         /* REQUEST_METHOD */
    const char *uri;            /* REQUEST_URI */
    const char *content_length; /* CONTENT_LENGTH; fronts leave it out, send it empty, or wrong */
    const char *document_root;  /* DOCUMENT_ROOT */
};

/*
 * Judges what can be known before the body: an answer, or STATUS_NONE to read on. *LABEL is then the secret's, borrowed
 * from SECRETS until its next refresh.
 */
enum status request_judge_head(const struct request_head *head, const struct conf *conf, const struct secrets *secrets,
                               const char **label);

/*
 * Judges a body that was read to its end (LENGTH bytes; at most one more than max_body was asked for). STATUS_OK or
 * STATUS_BAD_REQUEST: the answer once the body is spooled with *FLAG; an empty body is not spooled (*SPOOL is 0).
 * BROKEN tells that the stream ended with an error.
 */
enum status request_judge_body(const struct request_head *head, const struct conf *conf, const char *body,
                               size_t length, int broken, int *spool, enum segment_flag *flag);

/* The CGI header of an answer, whole: "Status: 200 OK\r\nContent-Length: 0\r\n\r\n". */
const char *request_answer(enum status status);

#endif
