/*
 * SPDX-License-Identifier: ISC
 *
 * digest.c: known digests, and words that do not come twice.
 */
#include <config.h>

#include "base/digest.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* The example of RFC 7636, appendix B, and the digests of the empty text and of "abc" (FIPS 180). */
static void test_known(void)
{
    static const char *const known[][2] = {
        {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
        {"", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},
        {"abc", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *digest = digest_sha256_base64url(known[i][0], strlen(known[i][0]));

        is_text(digest, known[i][1], known[i][0]);
        free(digest);
    }
}

static void test_random(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const size_t lengths[][2] = {{1, 2}, {2, 3}, {3, 4}, {32, 43}, {256, 342}};
    char *one = digest_random_base64url(32), *other = digest_random_base64url(32);

    ok(strcmp(one, other) != 0, "two random words differ");
    free(one);
    free(other);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        one = digest_random_base64url(lengths[i][0]);
        ok(strlen(one) == lengths[i][1] && strspn(one, alphabet) == lengths[i][1], "%zu bytes are %zu characters",
           lengths[i][0], lengths[i][1]);
        free(one);
    }
}

int main(void)
{
    test_known();
    test_random();
    return done();
}
