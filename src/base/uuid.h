/*
 * SPDX-License-Identifier: ISC
 *
 * Version 7 UUIDs (RFC 9562): 48 bits of Unix time in milliseconds, then a counter and random bits. An event's id is
 * made when its body arrives, and the time in it is the event's received_at.
 */
#ifndef CANDHOOK_UUID_H
#define CANDHOOK_UUID_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define UUID_BYTES 16
#define UUID_TEXT 37 /* 36 characters and the NUL */

/*
 * Makes an id of the present time, which no other call makes. Ids of one process grow, unless the clock goes back by
 * more than 5 s: so nothing may depend on their order but the order in which segments are read.
 */
void uuid_new(uint8_t id[UUID_BYTES]);

/* Writes the lower-case text form. Returns TEXT. */
const char *uuid_text(const uint8_t id[UUID_BYTES], char text[UUID_TEXT]);

/* Reads the text form, in upper or lower case. Returns false when TEXT is not one. */
MUST_CHECK bool uuid_parse(const char *text, uint8_t id[UUID_BYTES]);

/* Returns the time in ID, in milliseconds since 1970. */
uint64_t uuid_milliseconds(const uint8_t id[UUID_BYTES]);

#endif
