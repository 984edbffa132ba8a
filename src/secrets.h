/*
 * SPDX-License-Identifier: ISC
 *
 * The URL secrets: a 0600 file with a secret a line, optionally blanks and a label after it, `#` for comment lines.
 * Read anew when the file changed, so rotation needs no restart.
 */
#ifndef CANDHOOK_SECRETS_H
#define CANDHOOK_SECRETS_H

#include <stddef.h>

#include "err.h"

#define SECRETS_LABEL_BYTES 64 /* longest label, without NUL */
#define SECRETS_MIN_BYTES 16   /* shorter secrets are refused */

struct secrets;

/*
 * Reads the file: 0600 or stricter, owned by this user. RESULT_FAIL names file, line and remedy: also when it holds no
 * secret, saying how to make one. A secret is SECRETS_MIN_BYTES to 255 bytes of A-Z a-z 0-9 - _ . ~ (what stands in a
 * URL path unescaped); the label is at most SECRETS_LABEL_BYTES of the same and is "" when there is none.
 */
MUST_CHECK enum result secrets_load(struct secrets **out, const char *path, struct err *err);

/*
 * Reads the file again when its identity, size or times changed since. On an error the old secrets stay in force, and
 * RESULT_FAIL with a description is given once per change of the file.
 */
MUST_CHECK enum result secrets_refresh(struct secrets *secrets, struct err *err);

/*
 * The label of the secret that the last segment of URI's path is, or NULL when it is none. URI is a REQUEST_URI: path,
 * then perhaps ?query. The comparison takes the same time for every candidate of one length: each live secret is
 * compared whole, whether or not one before it matched.
 */
const char *secrets_match(const struct secrets *secrets, const char *uri);

/* How many secrets are in force, and the label of one of them, counted from 0. */
size_t secrets_count(const struct secrets *secrets);
const char *secrets_label(const struct secrets *secrets, size_t which);

void secrets_free(struct secrets *secrets);

#endif
