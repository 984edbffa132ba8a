/*
 * SPDX-License-Identifier: ISC
 *
 * Texts in memory.
 */
#ifndef CANDHOOK_TEXT_H
#define CANDHOOK_TEXT_H

#include <stddef.h>

/* A copy; NULL for NULL. Out of memory is the end of the program. */
char *text_copy(const char *text);

/* A copy in which each byte that is no part of UTF-8 is a question mark, as the database takes no other; NULL for NULL.
 */
char *text_copy_utf8(const char *text);

/* How many of the bytes, from the first on, are whole characters of UTF-8 (RFC 3629): LENGTH when all are. */
size_t text_utf8_span(const char *bytes, size_t length);

#endif
