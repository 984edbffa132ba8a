/*
 * SPDX-License-Identifier: ISC
 *
 * HTTP by libcurl; the only module that knows it. One request at a time (struct http), or many at once (struct
 * http_pool). What holds for all: http and https only, certificates are always checked, redirections are not followed,
 * no proxy is asked for what is on this machine, no signal is used. A URL and headers may hold secrets, so no
 * description has more of a URL than its scheme and host.
 */
#ifndef CANDHOOK_HTTP_H
#define CANDHOOK_HTTP_H

#include "base/err.h"

#include <poll.h>
#include <stddef.h>

#define HTTP_HEADERS 8

/* What is sent. All is borrowed until the answer is there. */
struct http_request {
    const char *method; /* "GET", "POST", ... */
    const char *url;
    const char *headers[HTTP_HEADERS]; /* "Name: value", up to the first NULL */
    const char *body;                  /* NULL: none */
    size_t body_length;
    long timeout_ms;
    size_t answer_bytes; /* so much of the answer's body is kept; the rest is read and dropped */
};

struct http_answer {
    int status;         /* 100 to 599 */
    char reason[64];    /* of the status line; may be empty; printable */
    char *body;         /* what was kept, a NUL behind it; never NULL */
    size_t body_length; /* of what was kept */
    int cut;            /* whether there was more */
    long retry_after;   /* seconds, of the header Retry-After (number or date); -1 without */
    double seconds;     /* from the start to the end */
};

void http_answer_free(struct http_answer *answer);

/* Takes a URL apart. RESULT_FAIL when it is not http(s)://HOST... *PLACE is "scheme://host[:port]", to be freed. */
MUST_CHECK enum result http_place(const char *url, char **place, struct err *err);

/* Whether a URL leads to this machine: localhost, 127.x.x.x or [::1]. */
int http_is_local(const char *url);

/* TEXT as a part of a query, allocated. */
char *http_escape(const char *text);

/* ---- one at a time, on a connection that is kept between calls ---- */

struct http;

struct http *http_new(void);
void http_free(struct http *http);

/* RESULT_OK with an answer of whatever status, to be freed; RESULT_RETRY when there was none that could be read whole,
 * with the reason; RESULT_FAIL when the request makes no sense (its URL, method or headers). */
MUST_CHECK enum result http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
                                 struct err *err);

/* ---- many at once ---- */

struct http_pool;

struct http_pool *http_pool_new(void);
void http_pool_free(struct http_pool *pool); /* breaks off what still runs */

/* Begins a request; CONTEXT comes back with its end. RESULT_FAIL when it makes no sense: then nothing was begun. */
MUST_CHECK enum result http_pool_start(struct http_pool *pool, const struct http_request *request, void *context,
                                       struct err *err);

/* Breaks off the request of CONTEXT, if it still runs: http_pool_next will not give it. */
void http_pool_stop(struct http_pool *pool, void *context);

/* Waits until something of the pool or one of FDS can go on, or TIMEOUT_MS (-1: no limit); sets the revents of FDS.
 * Does the work that can be done. Signals are let in as signals_poll does, which it is when the pool is empty. Never
 * fails: an interrupted wait ends early. */
void http_pool_wait(struct http_pool *pool, struct pollfd *fds, size_t count, int timeout_ms);

/* The next request that ended: its context, and in *RESULT what http_send would have returned. NULL when there is none.
 */
void *http_pool_next(struct http_pool *pool, enum result *result, struct http_answer *answer, struct err *err);

#endif
