/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/printable.h"

char printable_in_line(char byte)
{
    unsigned char value = (unsigned char)byte;

    return value < 0x20 || value == 0x7f ? '?' : byte;
}

char printable_in_text(char byte)
{
    return byte == '\n' || byte == '\t' ? byte : printable_in_line(byte);
}

void printable_write(FILE *stream, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        putc(printable_in_text(bytes[i]), stream);
}
