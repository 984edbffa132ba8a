/*
 * SPDX-License-Identifier: ISC
 *
 * The state of an installation as JSON, for `candhook status --json` and for the console. Members: candhook(1).
 */
#ifndef CANDHOOK_STATUS_JSON_H
#define CANDHOOK_STATUS_JSON_H

#include "status/installation.h"

#include <stdbool.h>

/* Returns one object, allocated; with COUNTS, of an installation that was read with STORE_STATUS_COUNTS. */
char *status_json_text(const struct installation *status, bool counts);

#endif
