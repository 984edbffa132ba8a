/*
 * SPDX-License-Identifier: ISC
 *
 * The two clocks, in milliseconds, and times as text.
 */
#ifndef CANDHOOK_CLOCK_H
#define CANDHOOK_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_BYTES 32 /* room for a time as text, with its NUL */

/* Returns the time since 1970. It jumps when somebody sets the clock. */
int64_t clock_real_ms(void);

/* Returns the time since some point in the past. It never goes back; for deadlines and intervals. */
int64_t clock_monotonic_ms(void);

/* Writes REAL_MS (since 1970) in UTC, as RFC 3339 has it: 2026-01-31T12:00:00.123Z. Returns TEXT. */
const char *clock_text(int64_t real_ms, char text[CLOCK_TEXT_BYTES]);

/* The same without the fraction: 2026-01-31T12:00:00Z. */
const char *clock_text_seconds(int64_t real_ms, char text[CLOCK_TEXT_BYTES]);

#endif
