/*
 * SPDX-License-Identifier: ISC
 *
 * The URL secrets: a file of mode 0600 with a secret a line. Behind it there may be a label, and the time at which it
 * was made (2026-01-31T12:00:00Z), with blanks between them; lines that begin with # are comments. A line `none` says
 * that there is no secret on purpose. The file is read again when it changes, so rotation needs no restart.
 * secrets_edit.h changes the file.
 */
#ifndef CANDHOOK_SECRETS_H
#define CANDHOOK_SECRETS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRETS_LABEL_BYTES 64 /* longest label, without NUL */
#define SECRETS_MAX 100        /* more are refused */
#define SECRETS_MIN_BYTES 16   /* shorter secrets are refused */
#define SECRETS_GOOD_BYTES 32  /* a shorter secret was likely made up by a person */
#define SECRETS_TIME_BYTES 40  /* room for the time of making, with NUL */
#define SECRETS_SHOWN 4        /* this many first characters of a secret may be shown */
#define SECRETS_NAME_BYTES (SECRETS_LABEL_BYTES + SECRETS_SHOWN + 2) /* room for a name, with NUL */
#define SECRETS_FILE_BYTES (64 * 1024)                               /* longest file */
#define SECRETS_NONE "none" /* the line that says: there is no secret, on purpose */

struct secrets;

/* Returns whether TEXT can be a label: 1 to SECRETS_LABEL_BYTES characters of A-Z a-z 0-9 - _ . ~ */
bool secrets_is_label(const char *text);

/*
 * Reads the file: 0600 or stricter, owned by this user. RESULT_FAIL with file, line and remedy, also when it holds no
 * secret. A secret has SECRETS_MIN_BYTES to 255 characters of A-Z a-z 0-9 - _ . ~, which stand in a URL as they are.
 */
MUST_CHECK enum result secrets_load(struct secrets **out, const char *path, struct err *err);

/* The same for the verbs of people: root may read any user's file, and a file without a secret is no failure. */
MUST_CHECK enum result secrets_load_any(struct secrets **out, const char *path, struct err *err);

/*
 * Reads the file again when its identity, size or times changed. On a failure the old secrets stay in force, and
 * RESULT_FAIL is returned once for each change of the file.
 */
MUST_CHECK enum result secrets_refresh(struct secrets *secrets, struct err *err);

/*
 * Returns the label ("" without one) of the secret that is the last segment of URI's path; NULL when it is none. URI is
 * a REQUEST_URI: a path, and perhaps ?query. The time that this takes tells nothing about the secrets: each is compared
 * whole, whether or not one before it matched.
 */
const char *secrets_match(const struct secrets *secrets, const char *uri);

/* Returns how many secrets are in force, and the label of the one at INDEX, from 0. */
size_t secrets_count(const struct secrets *secrets);
const char *secrets_label(const struct secrets *secrets, size_t index);

/* What may be shown of a secret. */
struct secrets_about {
    const char *label;             /* "" without one; borrowed */
    const char *made;              /* when it was made; "" when the file does not say; borrowed */
    char shown[SECRETS_SHOWN + 1]; /* its first characters */
    char name[SECRETS_NAME_BYTES]; /* LABEL=SHOWN: the name of its file in spool/secret_use.h */
    size_t length;                 /* of the secret */
    unsigned line;                 /* of the file, from 1 */
};
void secrets_tell(const struct secrets *secrets, size_t index, struct secrets_about *about);

/* Returns the secret itself: for the probe of a person's own installation, and never to be shown. */
const char *secrets_text(const struct secrets *secrets, size_t index);

/*
 * Notes a use of the secret whose LABEL secrets_match returned, at NOW_MS (of clock_monotonic_ms). Returns true and its
 * NAME when the use should be recorded: at most once a minute for each secret.
 */
bool secrets_note_use(struct secrets *secrets, const char *label, int64_t now_ms, char name[SECRETS_NAME_BYTES]);

void secrets_free(struct secrets *secrets);

#endif
