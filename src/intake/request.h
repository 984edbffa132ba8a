/*
 * SPDX-License-Identifier: ISC
 *
 * The rule by which a request is answered, the same under FastCGI and CGI. In this order: secret (404 for any method,
 * so that a guess learns nothing), method (405), size (413), body (400), spool (503), and 200 when the body is durable.
 *
 * This module reads and writes no request. It asks the file system only whether the configuration lies under the
 * document root that the front tells, and logs when it does.
 */
#ifndef CANDHOOK_REQUEST_H
#define CANDHOOK_REQUEST_H

#include "conf/conf.h"
#include "conf/secrets.h"
#include "spool/segment.h"

#include <stdbool.h>
#include <stddef.h>

enum request_status {
    STATUS_NONE = 0, /* not known yet */
    STATUS_OK = 200,
    STATUS_BAD_REQUEST = 400,
    STATUS_NOT_FOUND = 404,
    STATUS_METHOD_NOT_ALLOWED = 405,
    STATUS_TOO_LARGE = 413,
    STATUS_UNAVAILABLE = 503
};

/* The CGI variables of a request; any of them may be NULL. */
struct request_head {
    const char *method;         /* REQUEST_METHOD */
    const char *uri;            /* REQUEST_URI */
    const char *content_length; /* CONTENT_LENGTH; fronts leave it out, send it empty, or wrong */
    const char *document_root;  /* DOCUMENT_ROOT */
};

/* A body that was read to its end, or to max_body + 1 bytes. */
struct request_body {
    const char *bytes;
    size_t length;
    bool broken; /* the stream ended with an error */
};

/* What is to be done with a body. */
struct request_verdict {
    enum request_status status; /* the answer, once the body is spooled if it is to be */
    bool spool;             /* whether to spool it: true for STATUS_OK, and for STATUS_BAD_REQUEST unless it is empty */
    enum segment_flag flag; /* its record's */
};

/*
 * Judges what is known before the body: returns an answer, or STATUS_NONE to read on. *LABEL is the label of the
 * secret, borrowed from SECRETS until its next refresh; NULL with STATUS_NOT_FOUND.
 */
enum request_status request_judge_head(const struct request_head *head, const struct conf *conf,
                                       const struct secrets *secrets, const char **label);

/* Judges a body whose head was judged STATUS_NONE. */
struct request_verdict request_judge_body(const struct request_head *head, const struct conf *conf,
                                          const struct request_body *body);

/* Returns the whole CGI header of an answer: "Status: 200 OK\r\nContent-Length: 0\r\n\r\n". */
const char *request_answer(enum request_status status);

#endif
