/*
 * SPDX-License-Identifier: ISC
 *
 * What http.c, http_exchange.c and url.c share: all that has types of libcurl. Nobody else includes this.
 */
#ifndef CANDHOOK_HTTP_INSIDE_H
#define CANDHOOK_HTTP_INSIDE_H

#include "http/http.h"

#include <curl/curl.h>

/* Returns MEMORY, which libcurl allocated. NULL, for lack of memory, ends the program. */
void *http_must(void *memory);

/* ---- url.c ---- */

/* As url_server, with the parsed URL in *OUT, to be freed by curl_url_cleanup. */
MUST_CHECK enum result http_url_parse(const char *text, CURLU **out, char **server, struct err *err);

/* Returns a part of the URL, to be freed by curl_free, or NULL when it has no such part. */
char *http_url_part(CURLU *url, CURLUPart part);

bool http_url_is_local(CURLU *url);

/* ---- http_exchange.c ---- */

/* One request and its answer. */
struct exchange {
    CURL *curl;
    CURLU *url;
    struct curl_slist *headers;
    char *server;                    /* scheme://host[:port] */
    size_t body_limit;               /* bytes of the answer's body to keep */
    bool status_only;                /* of the request */
    size_t body_bytes, header_bytes; /* received so far */
    const char *abort_reason;        /* why a callback aborted the transfer; NULL: none did */
    char curl_error[CURL_ERROR_SIZE];
    struct http_answer answer;
    /* of http.c */
    void *context;
    bool ended; /* result, why and answer are final */
    enum result result;
    struct err why;
    struct exchange *next;
};

/* Returns an exchange that is ready to be run by libcurl; NULL when the request cannot be sent, with the reason. */
struct exchange *http_exchange_new(const struct http_request *request, struct err *err);

/* Turns the end of the transfer into the exchange's result, reason and answer. */
void http_exchange_end(struct exchange *exchange, CURLcode code);

void http_exchange_free(struct exchange *exchange);

#endif
