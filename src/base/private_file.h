/*
 * SPDX-License-Identifier: ISC
 *
 * A file that others must not read or change: opened once, checked by its descriptor, and read whole, so that what was
 * checked is what was read. The configuration and the URL secrets are such files.
 */
#ifndef CANDHOOK_PRIVATE_FILE_H
#define CANDHOOK_PRIVATE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <sys/stat.h>

struct private_file_rule {
    mode_t refused;     /* permission bits that must not be set */
    const char *remedy; /* the chmod that takes them away: "chmod 600" */
    int root_may_own;   /* whether root may own it as well as this user */
    int root_may_read;  /* whether, when this runs as root, anybody may own it */
    size_t max;         /* bytes */
};

struct private_file {
    char *text; /* NUL-terminated, and may hold NULs */
    size_t length;
    struct stat stat; /* from before the reading */
};

/*
 * Reads the regular file PATH. RESULT_FAIL with the path and a remedy when it may not be used; errno is then ENOENT
 * when there is no such file, and something else otherwise.
 */
MUST_CHECK enum result private_file_read(const char *path, const struct private_file_rule *rule,
                                         struct private_file *file, struct err *err);

/* Overwrites the text and frees it. */
void private_file_free(struct private_file *file);

#endif
