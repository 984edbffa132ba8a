/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "tool/input.h"

#include "base/memory.h"

#include <bsd/readpassphrase.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPED_BYTES 4096 /* a terminal gives no longer line */

char *input_line(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    setvbuf(stdin, NULL, _IONBF, 0); /* leaves what follows the line to those who read the descriptor */
    length = getline(&line, &size, stdin);
    while (length > 0 && strchr("\r\n \t", line[length - 1]) != NULL)
        line[--length] = '\0';
    if (length > 0 && strlen(line) == (size_t)length)
        return line;
    free(line);
    return NULL;
}

char *input_secret(const char *prompt)
{
    char typed[TYPED_BYTES], *secret = NULL;

    if (!isatty(STDIN_FILENO))
        return input_line();
    if (readpassphrase(prompt, typed, sizeof typed, RPP_ECHO_OFF) != NULL && *typed != '\0')
        secret = memory_copy_text(typed);
    explicit_bzero(typed, sizeof typed);
    return secret;
}
