/*
 * SPDX-License-Identifier: ISC
 *
 * URLs, by libcurl. A URL may hold secrets, so no description of an error quotes it.
 */
#ifndef CANDHOOK_URL_H
#define CANDHOOK_URL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A parameter of a query, not yet encoded. */
struct url_parameter {
    const char *name;  /* letters, digits and underscores */
    const char *value; /* NULL: the parameter is left out */
};

/* *SERVER is the part of URL that may be shown, "scheme://host[:port]", allocated. RESULT_FAIL when URL is not an http
 * or https URL with a host. */
MUST_CHECK enum result url_server(const char *url, char **server, struct err *err);

/* Returns whether URL leads to this machine: its host is localhost, 127.x.x.x or [::1]. False when it is no URL. */
bool url_is_local(const char *url);

/* Returns BASE without the slashes at its end, a slash, and PATH without the slash that it may begin with, allocated.
 */
char *url_join(const char *base, const char *path);

/* Returns TEXT percent-encoded, allocated: letters, digits and -._~ stand as they are. */
char *url_encode(const char *text);

/* Returns COUNT parameters as a form (application/x-www-form-urlencoded), allocated. */
char *url_form(const struct url_parameter *parameters, size_t count);

/* *OUT is URL with COUNT parameters added to its query, percent-encoded, allocated. RESULT_FAIL as url_server. */
MUST_CHECK enum result url_add_query(const char *url, const struct url_parameter *parameters, size_t count, char **out,
                                     struct err *err);

#endif
