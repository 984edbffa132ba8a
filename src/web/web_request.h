/*
 * SPDX-License-Identifier: ISC
 *
 * A browser's request: what the front server says about it, by FastCGI parameters or CGI's environment.
 */
#ifndef CANDHOOK_WEB_REQUEST_H
#define CANDHOOK_WEB_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define WEB_REQUEST_BODY_BYTES 65536 /* longest body that is read */

struct web_request {
    /* REQUEST_METHOD, REQUEST_URI, HTTP_COOKIE, HTTP_AUTHORIZATION; "" when not given */
    const char *method, *uri, *cookies, *authorization;
    /* REQUEST_SCHEME, HTTP_HOST, HTTP_ORIGIN, HTTP_SEC_FETCH_SITE, HTTP_X_CANDHOOK_ACTION, CONTENT_TYPE; "" when not
     * given */
    const char *scheme, *host, *origin, *fetch_site, *action, *content_type;
    char *body; /* owned by who made the request; NULL: it was too long, no text, or not all of it came */
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

/*
 * Returns what stands behind MOUNT/NAME/ in the path, up to the query, allocated: for the name "console" and the path
 * /candhook-app/console/api/events it is api/events. NULL when the path does not begin so. MOUNT is the path of BESIDE,
 * the URL of another page of ours, without its last segment; a front may have put another path in its place, so
 * everything up to the first segment candhook-app is a mount, too.
 */
char *web_request_below(const struct web_request *request, const char *beside, const char *name);

/*
 * Returns the query as a JSON object of texts, allocated. NULL when a name or a value is no UTF-8 or has control
 * characters, or an escape is broken.
 */
char *web_request_query(const struct web_request *request);

/*
 * Returns a field of the form in the body, decoded and allocated. NULL when it is missing or empty, is no UTF-8 or has
 * control characters, or the body is no form.
 */
char *web_request_field(const struct web_request *request, const char *name);

/* Returns the value of the cookie NAME, allocated; NULL when there is none. Of several, the first. */
char *web_request_cookie(const struct web_request *request, const char *name);

#endif
