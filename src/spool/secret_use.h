/*
 * SPDX-License-Identifier: ISC
 *
 * When each URL secret was last used: a file of the spool's folder `used` for each, empty, its time the time of a body
 * that came in by the secret. A responder sets it at most once a minute (secrets_note_use), and tells nothing else by
 * it, so nothing here is synced, and failures do not matter.
 */
#ifndef CANDHOOK_SECRET_USE_H
#define CANDHOOK_SECRET_USE_H

#include <time.h>

/* Writes down that the secret of that name (secrets.h) was used just now, in the spool FOLDER. */
void secret_use_record(int folder, const char *name);

/* When it was used last, to the minute; 0: never, as far as is known. */
time_t secret_use_time(int folder, const char *name);

/* Forgets a secret that is retired. */
void secret_use_forget(int folder, const char *name);

#endif
