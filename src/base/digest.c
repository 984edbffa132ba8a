/*
 * SPDX-License-Identifier: ISC
 *
 * Digests and random words.
 */
#include <config.h>

#include "base/digest.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static char *encode(const uint8_t *bytes, size_t length)
{
    struct base64_encode_ctx context;
    char *text = malloc(BASE64_ENCODE_LENGTH(length) + BASE64_ENCODE_FINAL_LENGTH + 1);
    size_t written;

    if (text == NULL)
        abort();
    base64url_encode_init(&context);
    written = base64_encode_update(&context, text, length, bytes);
    written += base64_encode_final(&context, text + written);
    while (written > 0 && text[written - 1] == '=')
        written--;
    text[written] = '\0';
    return text;
}

char *digest_sha256_base64url(const void *bytes, size_t length)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, length, bytes);
    sha256_digest(&context, sizeof digest, digest);
    return encode(digest, sizeof digest);
}

/* Up to 256 bytes are given whole or not at all, and without an interruption, once the system has booted. */
char *digest_random_base64url(size_t bytes)
{
    uint8_t random[256];
    char *text;

    if (bytes == 0 || bytes > sizeof random || getrandom(random, bytes, 0) != (ssize_t)bytes)
        abort();
    text = encode(random, bytes);
    explicit_bzero(random, sizeof random);
    return text;
}
