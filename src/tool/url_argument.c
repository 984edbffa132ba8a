/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "tool/url_argument.h"

#include "base/memory.h"
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *url_argument_take(char *argument)
{
    char *copy = memory_copy_text(argument);

    explicit_bzero(argument, strlen(argument));
    return copy;
}

/* Returns the first line of stdin without white space at its end, or NULL when nothing is left of it. */
static char *read_first_line(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    setvbuf(stdin, NULL, _IONBF, 0); /* leaves what follows the line to those who read the descriptor */
    length = getline(&line, &size, stdin);
    while (length > 0 && strchr("\r\n \t", line[length - 1]) != NULL)
        line[--length] = '\0';
    if (length > 0)
        return line;
    free(line);
    return NULL;
}

char *url_argument_find(const char *given)
{
    const char *url = given != NULL ? given : conf_default_url();

    return url != NULL && strcmp(url, "-") == 0 ? read_first_line() : memory_copy_text(url);
}
