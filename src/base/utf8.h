/*
 * SPDX-License-Identifier: ISC
 *
 * UTF-8 as RFC 3629 defines it: shortest forms, no surrogates, up to U+10FFFF. PostgreSQL takes nothing else.
 */
#ifndef CANDHOOK_UTF8_H
#define CANDHOOK_UTF8_H

#include <stddef.h>

/* Returns the length of the longest start of BYTES that is whole characters of UTF-8: LENGTH when all are. */
size_t utf8_span(const char *bytes, size_t length);

/* Returns an allocated copy of TEXT in which each byte that is not UTF-8 is a question mark; NULL for NULL. */
char *utf8_copy(const char *text);

#endif
