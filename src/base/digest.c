/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/digest.h"

#include "base/memory.h"

#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static char *encode_base64url(const uint8_t *bytes, size_t length)
{
    struct base64_encode_ctx context;
    char *text = memory_allocate(BASE64_ENCODE_LENGTH(length) + BASE64_ENCODE_FINAL_LENGTH + 1);
    size_t written;

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
    return encode_base64url(digest, sizeof digest);
}

char *digest_hmac_base64url(const char *key, const char *text)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct hmac_sha256_ctx context;

    hmac_sha256_set_key(&context, strlen(key), (const uint8_t *)key);
    hmac_sha256_update(&context, strlen(text), (const uint8_t *)text);
    hmac_sha256_digest(&context, sizeof digest, digest);
    return encode_base64url(digest, sizeof digest);
}

bool digest_equal(const char *one, const char *other)
{
    size_t length = strlen(one);

    return strlen(other) == length && memeql_sec(one, other, length);
}

char *digest_base64(const void *bytes, size_t length)
{
    char *text = memory_allocate(BASE64_ENCODE_RAW_LENGTH(length) + 1);

    base64_encode_raw(text, length, bytes);
    text[BASE64_ENCODE_RAW_LENGTH(length)] = '\0';
    return text;
}

/* getrandom(2) gives up to 256 bytes whole, and no signal interrupts it. */
char *digest_random_base64url(size_t count)
{
    uint8_t random[256];
    char *text;

    if (count == 0 || count > sizeof random || getrandom(random, count, 0) != (ssize_t)count)
        abort();
    text = encode_base64url(random, count);
    explicit_bzero(random, sizeof random);
    return text;
}
