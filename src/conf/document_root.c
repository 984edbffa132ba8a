/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "conf/document_root.h"

#include "base/memory.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* Whether PATH lies below FOLDER; both are resolved. */
static bool lies_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    while (length > 0 && folder[length - 1] == '/')
        length--;
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Resolves the part of PATH that exists, and appends the rest. Returns an allocated path. */
static char *resolve_path(const char *path)
{
    char *start = memory_copy_text(path), *real = realpath(start, NULL), *whole;
    char *slash = strrchr(start, '/');

    while (real == NULL && slash != NULL && slash > start) {
        *slash = '\0';
        real = realpath(start, NULL);
        slash = strrchr(start, '/');
    }
    whole = real != NULL ? memory_format("%s%s", real, path + strlen(start)) : memory_copy_text(path);
    free(real);
    free(start);
    return whole;
}

static bool has_served_folder(const char *path)
{
    return strstr(path, "/public_html/") != NULL || strstr(path, "/htdocs/") != NULL ||
           strstr(path, "/httpdocs/") != NULL || lies_below(path, "/var/www/html");
}

bool document_root_holds(const char *path, const char *root)
{
    char *real_root = root != NULL && *root == '/' ? resolve_path(root) : NULL;
    char *copy = memory_copy_text(path), *folder = resolve_path(dirname(copy));
    char *candidates[] = {memory_format("%s/", folder), resolve_path(path)};
    bool held = false;

    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        held = held || has_served_folder(candidates[i]) || (real_root != NULL && lies_below(candidates[i], real_root));
        free(candidates[i]);
    }
    free(folder);
    free(copy);
    free(real_root);
    return held;
}

bool document_root_is_above(const char *folder, const char *path)
{
    char *real_folder = realpath(folder, NULL), *real = resolve_path(path);
    bool above = real_folder != NULL && lies_below(real, real_folder);

    free(real_folder);
    free(real);
    return above;
}
