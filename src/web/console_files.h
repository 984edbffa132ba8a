/*
 * SPDX-License-Identifier: ISC
 *
 * The files of the console's page, as constants of the program: build-aux/embed-files makes the table.
 */
#ifndef CANDHOOK_CONSOLE_FILES_H
#define CANDHOOK_CONSOLE_FILES_H

#include <stddef.h>

struct console_file {
    const char *name; /* NULL ends the table */
    const char *bytes;
    size_t length;
};

extern const struct console_file console_files[];

#endif
