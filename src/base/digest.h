/*
 * SPDX-License-Identifier: ISC
 *
 * Digests and random texts, mostly as base64url without padding (RFC 4648): letters, digits, - and _, which stand in a
 * URL as they are. The only module that knows nettle.
 */
#ifndef CANDHOOK_DIGEST_H
#define CANDHOOK_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/* Returns SHA-256 of LENGTH bytes as base64url: 43 characters, allocated. */
char *digest_sha256_base64url(const void *bytes, size_t length);

/* Returns HMAC-SHA-256 of TEXT under KEY as base64url: 43 characters, allocated. */
char *digest_hmac_base64url(const char *key, const char *text);

/* Returns whether two texts are equal, in a time that depends on their lengths only. */
bool digest_equal(const char *one, const char *other);

/* Returns LENGTH bytes as base64, padded, allocated. */
char *digest_base64(const void *bytes, size_t length);

/* Returns COUNT bytes (1 to 256) of the system's random source as base64url, allocated: 43 characters for 32 bytes. */
char *digest_random_base64url(size_t count);

#endif
