/*
 * SPDX-License-Identifier: ISC
 *
 * The URL secrets: a 0600 file with a secret a line, after it perhaps a label, and perhaps the time at which it was
 * made (2026-01-31T12:00:00Z), blanks between them; `#` for comment lines. A line `none` says that no secret is meant
 * to be there. Read anew when the file changed, so rotation needs no restart. secrets_edit.h changes the file.
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
#define SECRETS_GOOD_BYTES 32  /* one that a person thought up is likely to be shorter */
#define SECRETS_TIME_BYTES 40  /* room for the time of making, with NUL */
#define SECRETS_SHOWN 4        /* so many first characters may be shown */
#define SECRETS_NAME_BYTES (SECRETS_LABEL_BYTES + SECRETS_SHOWN + 2) /* room for a name, with NUL */
#define SECRETS_FILE_BYTES (64 * 1024)                               /* longest file */
#define SECRETS_NONE "none" /* the line that says: no secret is live, and that is meant */

struct secrets;

/* Whether TEXT may be a label: 1 to SECRETS_LABEL_BYTES characters of A-Z a-z 0-9 - _ . ~ */
bool secrets_is_label(const char *text);

/*
 * Reads the file: 0600 or stricter, owned by this user. RESULT_FAIL names file, line and remedy: also when it holds no
 * secret, saying how to make one. A secret is SECRETS_MIN_BYTES to 255 bytes of A-Z a-z 0-9 - _ . ~ (what stands in a
 * URL path unescaped); the label is at most SECRETS_LABEL_BYTES of the same and is "" when there is none.
 */
MUST_CHECK enum result secrets_load(struct secrets **out, const char *path, struct err *err);

/* The same for people's verbs: root may read the file of any user, and one without any secret is fine. */
MUST_CHECK enum result secrets_load_any(struct secrets **out, const char *path, struct err *err);

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

/* What may be told of a secret. */
struct secrets_about {
    const char *label;             /* "" without one; borrowed */
    const char *made;              /* "" when nobody wrote it down; borrowed */
    char shown[SECRETS_SHOWN + 1]; /* its first characters */
    char name[SECRETS_NAME_BYTES]; /* label=first characters: under which its use is noted (used.h) */
    size_t length;                 /* of the secret */
    unsigned line;                 /* of the file, from 1 */
};
void secrets_tell(const struct secrets *secrets, size_t which, struct secrets_about *about);

/* The secret itself: for the probe of a person's own installation, and never to be shown. */
const char *secrets_text(const struct secrets *secrets, size_t which);

/*
 * Notes that the secret whose LABEL secrets_match gave was used at NOW_MS (of clock_monotonic_ms). Returns 1 and its
 * NAME when that should be written down: at most once a minute each.
 */
int secrets_note_use(struct secrets *secrets, const char *label, int64_t now_ms, char name[SECRETS_NAME_BYTES]);

void secrets_free(struct secrets *secrets);

#endif
