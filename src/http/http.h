/*
 * SPDX-License-Identifier: ISC
 *
 * HTTP requests by libcurl, one or many at once. For all of them: http and https only, certificates are always checked,
 * redirections are not followed, no proxy is used for this machine itself, no signal is used. URLs and headers may hold
 * secrets, so a description of an error has no more of a URL than its scheme, host and port.
 */
#ifndef CANDHOOK_HTTP_H
#define CANDHOOK_HTTP_H

#include "base/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEADERS 8

/* A request. The body is borrowed until the request has ended, all else until it has started. */
struct http_request {
    const char *method; /* "GET", "POST", ... */
    const char *url;
    const char *headers[HTTP_HEADERS]; /* "Name: value"; ends with the first NULL */
    const char *body;                  /* NULL: none */
    size_t body_length;
    long timeout_ms;
    size_t answer_bytes; /* how much of the answer's body is kept; the rest is read and dropped */
    bool status_only;    /* a status is an answer, also when not all came that should follow it */
};

struct http_answer {
    int status;         /* 100 to 599 */
    char *reason;       /* of the status line, whole, without control characters; may be empty, never NULL */
    char *body;         /* the part that was kept, and a NUL; never NULL */
    size_t body_length; /* without the NUL */
    bool cut;           /* the body was longer, or with status_only did not come whole */
    long retry_after;   /* of the header Retry-After (a number or a date): 0 to a day, in seconds; -1: there is none */
    double seconds;     /* from start to end */
};

void http_answer_free(struct http_answer *answer);

/* Runs requests and keeps their connections for the next ones. */
struct http;

struct http *http_new(void);

/* Stops the requests that still run. */
void http_free(struct http *http);

/*
 * Sends a request and waits for its answer. No other request of HTTP may run meanwhile. RESULT_OK with an answer of any
 * status, to be freed by http_answer_free. RESULT_RETRY when no whole answer came (see status_only). RESULT_FAIL when
 * the request cannot be sent: its URL, its method or a header is wrong.
 */
MUST_CHECK enum result http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
                                 struct err *err);

/* ---- many at once ---- */

/* Starts a request. http_next returns CONTEXT, which must not be NULL, when it has ended. RESULT_FAIL as http_send. */
MUST_CHECK enum result http_start(struct http *http, const struct http_request *request, void *context,
                                  struct err *err);

/* Stops the request of CONTEXT: http_next does not return it any more. Nothing happens when there is none. */
void http_stop(struct http *http, const void *context);

/*
 * Waits until a request can go on, one of FDS is ready or TIMEOUT_MS is over (-1: no limit), and lets the requests go
 * on. Does not wait when http_next has a request to return. Sets the revents of FDS. Signals are let in as by
 * signals_poll; one ends the wait early.
 */
void http_wait(struct http *http, struct pollfd *fds, size_t count, int timeout_ms);

/* Returns the context of a request that has ended, and what http_send would have returned in *RESULT, ANSWER and ERR.
 * NULL when no other has ended. */
void *http_next(struct http *http, enum result *result, struct http_answer *answer, struct err *err);

#endif
