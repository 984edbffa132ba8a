/*
 * SPDX-License-Identifier: ISC
 *
 * Memory that is always there: when the system has none, the program ends (abort). Nothing is acknowledged before it is
 * durable, so that loses nothing. Everything is freed by free().
 */
#ifndef CANDHOOK_MEMORY_H
#define CANDHOOK_MEMORY_H

#include <stddef.h>
#include <stdio.h>

/* Returns COUNT elements of SIZE bytes, all zero. */
void *memory_new(size_t count, size_t size);

/* Changes the room at OLD (NULL: none yet) to COUNT elements of SIZE bytes; new ones hold anything. */
void *memory_resize(void *old, size_t count, size_t size);

/* Returns a copy of TEXT; NULL for NULL. */
char *memory_copy_text(const char *text);

/* Returns a copy of LENGTH bytes with a NUL behind them. */
char *memory_copy_bytes(const void *bytes, size_t length);

/* Returns a text made as by printf. */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A stream that writes into a text. memory_close_stream ends it: *TEXT is the caller's then, with a NUL behind SIZE
 * bytes. */
FILE *memory_open_stream(char **text, size_t *size);
void memory_close_stream(FILE *stream);

#endif
