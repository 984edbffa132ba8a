/*
 * SPDX-License-Identifier: ISC
 *
 * Allocation that does not fail: without memory the program aborts. Nothing is acknowledged before it is durable, so an
 * abort loses nothing. All that these functions return is freed by free().
 */
#ifndef CANDHOOK_MEMORY_H
#define CANDHOOK_MEMORY_H

#include <stddef.h>
#include <stdio.h>

/* Returns COUNT elements of SIZE bytes, all zero. */
void *memory_new(size_t count, size_t size);

/* Returns SIZE bytes that are not initialized. */
void *memory_allocate(size_t size);

/* Resizes OLD (NULL: nothing yet) to COUNT elements of SIZE bytes. What is added is not initialized. */
void *memory_resize(void *old, size_t count, size_t size);

/* Returns a copy of TEXT; NULL for NULL. */
char *memory_copy_text(const char *text);

/* Returns a copy of LENGTH bytes with a NUL behind them. */
char *memory_copy_bytes(const void *bytes, size_t length);

/* Overwrites TEXT and frees it; NULL is fine. */
void memory_free_secret(char *text);

/* Returns a text made as by printf. */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Opens a stream that writes into an allocated text. After memory_close_stream, *TEXT is the caller's: SIZE bytes and a
 * NUL.
 */
FILE *memory_open_stream(char **text, size_t *size);
void memory_close_stream(FILE *stream);

#endif
