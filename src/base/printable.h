/*
 * SPDX-License-Identifier: ISC
 *
 * Text of other people on a terminal: control characters, which could steer it, are shown as question marks. Bytes from
 * 0x80 on pass, since they are UTF-8 mostly.
 */
#ifndef CANDHOOK_PRINTABLE_H
#define CANDHOOK_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

/* Returns BYTE, or '?' for a control character. For what must stay on one line. */
char printable_in_line(char byte);

/* The same, but line feeds and tabs pass. For text of many lines. */
char printable_in_text(char byte);

/* Writes LENGTH bytes to STREAM, each as printable_in_text gives it. */
void printable_write(FILE *stream, const char *bytes, size_t length);

#endif
