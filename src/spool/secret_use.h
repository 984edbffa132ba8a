/*
 * SPDX-License-Identifier: ISC
 *
 * When each URL secret was last used, for `candhook url list`: an empty file for each secret in the spool's folder
 * `used`, whose modification time is the time at which a body came in by the secret. A responder sets it at most once a
 * minute. Nothing else depends on these files, so nothing is synced and failures are ignored.
 */
#ifndef CANDHOOK_SECRET_USE_H
#define CANDHOOK_SECRET_USE_H

#include <time.h>

/* Sets the time of the secret NAME (see conf/secrets.h) to now. FOLDER is the spool. */
void secret_use_touch(int folder, const char *name);

/* Returns the time of the last use, to the minute; 0 when none is known. */
time_t secret_use_time(int folder, const char *name);

/* Removes the file of a secret that is retired. */
void secret_use_forget(int folder, const char *name);

#endif
