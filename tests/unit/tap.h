/*
 * SPDX-License-Identifier: ISC
 *
 * TAP for the unit tests: ok(condition, name), is_text(got, wanted, name), and done() as the last line of main.
 */
#ifndef CANDHOOK_TAP_H
#define CANDHOOK_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static int ok(int condition, const char *name, ...)
{
    va_list args;

    tap_count++;
    tap_failed += !condition;
    printf("%sok %d - ", condition ? "" : "not ", tap_count);
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    return condition;
}

__attribute__((unused)) static int is_text(const char *got, const char *wanted, const char *name)
{
    int same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;

    if (!ok(same, "%s", name))
        printf("#      got: %s\n#   wanted: %s\n", got ? got : "(null)", wanted ? wanted : "(null)");
    return same;
}

__attribute__((unused)) static int done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif
