/*
 * SPDX-License-Identifier: ISC
 *
 * Changes the file of URL secrets. The new text is written to a file beside it, synced, and renamed over it, so that a
 * responder reads the old one or the new one; that file's lock keeps two changes from losing each other's. Every line
 * that is not taken out stays as it was, comments too.
 */
#ifndef CANDHOOK_SECRETS_EDIT_H
#define CANDHOOK_SECRETS_EDIT_H

#include "base/err.h"
#include "conf/secrets.h"

#include <sys/types.h>

/*
 * Adds a line for SECRET, with LABEL ("" for none) and the present time; the file is made when there is none. It stays
 * its owner's, and a new one is OWNER's (which matters to root alone). RESULT_FAIL when the label is there already, or
 * the file is not as secrets_load wants it; RESULT_RETRY when somebody else is changing it for long.
 */
MUST_CHECK enum result secrets_add(const char *path, uid_t owner, const char *secret, const char *label,
                                   struct err *err);

/*
 * Takes out the secret whose label or first characters WHICH is, and writes its name (secrets.h) to NAME. The last one
 * goes only with FORCE; a line `none` stands there then. RESULT_FAIL when WHICH is none, or more than one: the
 * description lists those that there are.
 */
MUST_CHECK enum result secrets_remove(const char *path, const char *which, int force, char name[SECRETS_NAME_BYTES],
                                      struct err *err);

#endif
