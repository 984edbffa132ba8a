/*
 * SPDX-License-Identifier: ISC
 *
 * The layout: 48 bits of milliseconds, version, 12 bits of counter, variant, 62 random bits. The random bits are drawn
 * once a millisecond: they tell processes apart, and within a process the counter does. When the clock goes back, ids
 * keep the last time until it is reached again; but a clock that goes back by more than BEHIND_MS was wrong before, and
 * is believed: a millisecond may come twice then, with other random bits.
 */
#include <config.h>

#include "base/uuid.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BEHIND_MS 5000

void uuid_new(uint8_t id[UUID_BYTES])
{
    static uint8_t drawn[UUID_BYTES];
    static uint64_t last_ms;
    static unsigned counter;
    uint64_t ms = (uint64_t)clock_real_ms();
    bool follows_clock = ms > last_ms || ms + BEHIND_MS < last_ms;

    if (follows_clock || counter == 0xfff) {
        if (getrandom(drawn, sizeof drawn, 0) != sizeof drawn)
            abort(); /* two processes could make the same id */
        last_ms = follows_clock ? ms : last_ms + 1;
        counter = drawn[6] & 0x07; /* leaves room to count up within the millisecond */
    } else {
        counter++;
    }
    memcpy(id, drawn, sizeof drawn);
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(last_ms >> (40 - 8 * i));
    id[6] = (uint8_t)(0x70 | counter >> 8);
    id[7] = (uint8_t)counter;
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

const char *uuid_text(const uint8_t id[UUID_BYTES], char text[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *to = text;

    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[id[i] >> 4];
        *to++ = hex[id[i] & 15];
    }
    *to = '\0';
    return text;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool uuid_parse(const char *text, uint8_t id[UUID_BYTES])
{
    if (strlen(text) != UUID_TEXT - 1)
        return false;
    for (int i = 0; i < UUID_BYTES; i++) {
        int high, low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        high = hex_value(text[0]);
        low = hex_value(text[1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return true;
}

uint64_t uuid_milliseconds(const uint8_t id[UUID_BYTES])
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms;
}
