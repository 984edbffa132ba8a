/*
 * SPDX-License-Identifier: ISC
 *
 * The users of the console: a file of mode 0600 with a user a line, NAME RIGHT HASH with blanks between them. RIGHT is
 * full or read-only, HASH is made of the password by yescrypt (crypt(5)). Lines that begin with # are comments. A line
 * of another shape is an error, since what it was meant to allow or forbid is not known.
 */
#ifndef CANDHOOK_WEB_USERS_H
#define CANDHOOK_WEB_USERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define WEB_USER_NAME_BYTES 65
#define WEB_USER_FINGERPRINT_BYTES 23
#define WEB_USERS_FILE_BYTES (64 * 1024) /* longest file */
#define WEB_USERS_PASSWORD_MIN 10        /* shortest password, in bytes */
#define WEB_USERS_PASSWORD_MAX 255       /* longest */

struct web_user {
    char name[WEB_USER_NAME_BYTES]; /* "": there is no such user */
    bool read_only;
    char fingerprint[WEB_USER_FINGERPRINT_BYTES]; /* of the stored line; another one when password or right changes */
};

/* Returns whether TEXT can be a name: 1 to 64 characters of A-Z a-z 0-9 . _ @ -, the first of which is no dash. */
bool web_users_is_name(const char *text);

/* Returns whether TEXT can be a password: of the bytes above, and no control characters. */
bool web_users_is_password(const char *text);

/*
 * Finds the user NAME in the file PATH, which belongs to this user; root may read any user's. A missing file is one
 * without users. RESULT_FAIL with file, line and remedy when the file is not as it has to be.
 */
MUST_CHECK enum result web_users_find(const char *path, const char *name, struct web_user *user, struct err *err);

/*
 * Like web_users_find, and checks the password: a wrong one is as if there were no such user. Takes as long either way.
 */
MUST_CHECK enum result web_users_check(const char *path, const char *name, const char *password, struct web_user *user,
                                       struct err *err);

/* All users, in the order of the file. */
struct web_users;
MUST_CHECK enum result web_users_load(struct web_users **out, const char *path, struct err *err);
size_t web_users_count(const struct web_users *users);
const struct web_user *web_users_get(const struct web_users *users, size_t index);
void web_users_free(struct web_users *users);

/* RESULT_FAIL when there is a user NAME: to ask for no password in vain. */
MUST_CHECK enum result web_users_check_new(const char *path, const char *name, struct err *err);

/* A user to add; NAME and PASSWORD follow the rules above. */
struct web_user_new {
    const char *name, *password;
    bool read_only;
    bool replace; /* if there is a user of that name, gives it this password and this right */
};

/*
 * Adds a user. The file keeps its owner; a new one is made OWNER's, which matters to root only. All other lines stay as
 * they are. RESULT_FAIL when there is such a user, or the file is not as it has to be; RESULT_RETRY when another
 * program has been changing it for 10 s.
 */
MUST_CHECK enum result web_users_add(const char *path, uid_t owner, const struct web_user_new *user, struct err *err);

/* Removes the user NAME. RESULT_FAIL also when there is none. */
MUST_CHECK enum result web_users_remove(const char *path, const char *name, struct err *err);

#endif
