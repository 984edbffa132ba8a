/*
 * SPDX-License-Identifier: ISC
 *
 * A file that others must not read or change, as the configuration and the URL secrets are. It is opened once, checked
 * by its descriptor, and read whole, so that what was checked is what was read.
 */
#ifndef CANDHOOK_PRIVATE_FILE_H
#define CANDHOOK_PRIVATE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct private_file_rule {
    mode_t refused;     /* permission bits that must not be set */
    const char *remedy; /* the chmod that takes them away: "chmod 600" */
    bool root_may_own;  /* whether root may own it as well as this user */
    bool root_may_read; /* whether it may belong to any user when this runs as root */
    size_t max;         /* bytes */
};

struct private_file {
    char *text; /* LENGTH bytes, which may hold NULs, and a NUL behind them */
    size_t length;
    struct stat stat; /* from before the reading */
    bool missing;     /* after a failure: there is no such file */
};

/* Reads the regular file PATH into FILE. RESULT_FAIL with the path and a remedy when it must not be used. */
MUST_CHECK enum result private_file_read(const char *path, const struct private_file_rule *rule,
                                         struct private_file *file, struct err *err);

/*
 * Reads a secret, the first line of the file PATH (0600), which must not be empty; *SECRET is allocated, NULL when PATH
 * is "".
 */
MUST_CHECK enum result private_file_read_secret(const char *path, char **secret, struct err *err);

/* Overwrites the text and frees it. */
void private_file_free(struct private_file *file);

#endif
