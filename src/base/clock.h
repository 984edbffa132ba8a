/*
 * SPDX-License-Identifier: ISC
 *
 * The two clocks, in milliseconds.
 */
#ifndef CANDHOOK_CLOCK_H
#define CANDHOOK_CLOCK_H

#include <stdint.h>

/* Since 1970. May jump. */
int64_t clock_real_ms(void);

/* Since some point in the past. Never goes back. */
int64_t clock_monotonic_ms(void);

#endif
