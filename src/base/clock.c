/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_real_ms(void)
{
    return read_clock_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return read_clock_ms(CLOCK_MONOTONIC);
}

const char *clock_text(int64_t real_ms, char text[CLOCK_TEXT_BYTES])
{
    size_t used = strlen(clock_text_seconds(real_ms, text)) - 1; /* the Z */

    snprintf(text + used, CLOCK_TEXT_BYTES - used, ".%03uZ", (unsigned)(real_ms % 1000));
    return text;
}

const char *clock_text_seconds(int64_t real_ms, char text[CLOCK_TEXT_BYTES])
{
    time_t seconds = (time_t)(real_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc); /* the year of INT64_MAX ms has nine digits */
    return text;
}
