/*
 * SPDX-License-Identifier: ISC
 *
 * Digests and random texts as base64url without padding (RFC 4648): letters, digits, - and _, which stand in a URL as
 * they are. The only module that knows nettle.
 */
#ifndef CANDHOOK_DIGEST_H
#define CANDHOOK_DIGEST_H

#include <stddef.h>

/* Returns SHA-256 of LENGTH bytes as base64url: 43 characters, allocated. */
char *digest_sha256_base64url(const void *bytes, size_t length);

/* Returns COUNT bytes (1 to 256) of the system's random source as base64url, allocated: 43 characters for 32 bytes. */
char *digest_random_base64url(size_t count);

#endif
