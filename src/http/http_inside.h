/*
 * SPDX-License-Identifier: ISC
 *
 * What http.c and http_pool.c share; nobody else includes this.
 */
#ifndef CANDHOOK_HTTP_INSIDE_H
#define CANDHOOK_HTTP_INSIDE_H

#include "http/http.h"

#include <curl/curl.h>

#define HTTP_KEPT_CONNECTIONS 16L

/* One request, and what came of it. */
struct exchange {
    CURL *curl;
    CURLU *url;
    struct curl_slist *headers;
    char *place;         /* scheme://host[:port] */
    size_t keep, passed; /* bytes of the answer's body: kept at most, come so far */
    size_t header_bytes;
    const char *broken_off; /* why we broke it off, if we did */
    char error[CURL_ERROR_SIZE];
    struct http_answer answer;
    /* of a pool */
    void *context;
    enum result result;
    struct err why;
    struct exchange *next;
};

/* MEMORY; without it, the end of the program. */
void *http_must(void *memory);

/* Makes ready what runs on the handle exchange->curl. */
MUST_CHECK enum result http_prepare(struct exchange *exchange, const struct http_request *request, struct err *err);

/* Turns the end of the transfer into a result. */
MUST_CHECK enum result http_finish(struct exchange *exchange, CURLcode code, struct err *err);

/* Gives the answer away if there is one. */
void http_hand_over(struct exchange *exchange, enum result result, struct http_answer *answer);

/* Frees what http_prepare made; the handle is its owner's. */
void http_release(struct exchange *exchange);

#endif
