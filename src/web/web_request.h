/*
 * SPDX-License-Identifier: ISC
 *
 * A browser's request: what the front server says about it, by FastCGI parameters or CGI's environment.
 */
#ifndef CANDHOOK_WEB_REQUEST_H
#define CANDHOOK_WEB_REQUEST_H

#include <stdbool.h>

struct web_request {
    /* REQUEST_METHOD, REQUEST_URI, HTTP_COOKIE, HTTP_AUTHORIZATION; "" when not given */
    const char *method, *uri, *cookies, *authorization;
};

/* Returns whether the last segment of the path is NAME. */
bool web_request_is_for(const struct web_request *request, const char *name);

/* Returns whether the query has the parameter NAME, with or without a value. */
bool web_request_asks(const struct web_request *request, const char *name);

/*
 * Returns a parameter of the query, decoded and allocated. NULL when it is missing, empty, given twice or longer than
 * MAX bytes, or decodes to anything but printable ASCII.
 */
char *web_request_parameter(const struct web_request *request, const char *name, unsigned long max);

/* Returns the value of the cookie NAME, allocated; NULL when there is none. Of several, the first. */
char *web_request_cookie(const struct web_request *request, const char *name);

#endif
