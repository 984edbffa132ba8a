/*
 * SPDX-License-Identifier: ISC
 *
 * Texts that a browser keeps for us and cannot change: sealed with a key that only this host has, and with an end.
 */
#ifndef CANDHOOK_SEAL_H
#define CANDHOOK_SEAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the key in the file PATH (0600), or makes it: 43 random characters, allocated. Several processes that make it
 * at once get the same one.
 */
MUST_CHECK enum result seal_read_key(const char *path, char **key, struct err *err);

/* Returns TEXT (letters, digits, - _ .) sealed for PURPOSE until UNTIL (seconds since 1970), allocated. */
char *seal_close(const char *key, const char *purpose, const char *text, int64_t until);

/* Returns the text of a seal, allocated; NULL when it is not of this key and purpose, or ended before NOW. */
char *seal_open(const char *key, const char *purpose, const char *sealed, int64_t now);

#endif
