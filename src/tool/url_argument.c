/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "tool/url_argument.h"

#include "base/memory.h"
#include "conf/conf.h"
#include "tool/input.h"

#include <string.h>

char *url_argument_take(char *argument)
{
    char *copy = memory_copy_text(argument);

    explicit_bzero(argument, strlen(argument));
    return copy;
}

char *url_argument_find(const char *given)
{
    const char *url = given != NULL ? given : conf_default_url();

    return url != NULL && strcmp(url, "-") == 0 ? input_line() : memory_copy_text(url);
}
