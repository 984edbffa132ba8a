/*
 * SPDX-License-Identifier: ISC
 *
 * Changes the file of URL secrets, by base/file_edit.h: a responder reads either the old one or the new one. Every line
 * that is not taken out stays as it was, comments too.
 */
#ifndef CANDHOOK_SECRETS_EDIT_H
#define CANDHOOK_SECRETS_EDIT_H

#include "base/err.h"
#include "conf/secrets.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Adds a line for SECRET with LABEL ("" for none) and the present time. The file keeps its owner; a new one is made
 * OWNER's, which matters to root only. RESULT_FAIL when the label is in use, or the file is not as secrets_load wants
 * it; RESULT_RETRY when another program has been changing it for 10 s.
 */
MUST_CHECK enum result secrets_add(const char *path, uid_t owner, const char *secret, const char *label,
                                   struct err *err);

/*
 * Takes out the secret that WHICH names by its label or by its first characters, and writes its name (secrets.h) to
 * NAME. The last secret is only taken out with FORCE, and replaced by a line `none`. RESULT_FAIL when WHICH names none
 * or more than one: the description then lists all.
 */
MUST_CHECK enum result secrets_remove(const char *path, const char *which, bool force, char name[SECRETS_NAME_BYTES],
                                      struct err *err);

#endif
