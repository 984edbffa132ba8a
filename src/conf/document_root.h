/*
 * SPDX-License-Identifier: ISC
 *
 * Which paths a web server would hand out. What holds passwords, secrets or bodies must not lie there. Paths are
 * resolved first, as far as they exist: a file that is still to be made is judged, too.
 */
#ifndef CANDHOOK_DOCUMENT_ROOT_H
#define CANDHOOK_DOCUMENT_ROOT_H

#include <stdbool.h>

/*
 * Returns whether PATH, which is absolute or relative, lies under a document root: a folder named public_html, htdocs
 * or httpdocs, /var/www/html, or ROOT (NULL or not absolute: none). When PATH is a symbolic link, both the link and its
 * target must lie elsewhere: servers follow links.
 */
bool document_root_holds(const char *path, const char *root);

/* Returns whether the absolute path PATH lies below FOLDER, which must exist. */
bool document_root_is_above(const char *folder, const char *path);

#endif
