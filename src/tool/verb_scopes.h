/*
 * SPDX-License-Identifier: ISC
 *
 * The webhook scopes that the enabled handlers need, for the verbs scopes and authorize-url.
 */
#ifndef CANDHOOK_VERB_SCOPES_H
#define CANDHOOK_VERB_SCOPES_H

#include "conf/conf.h"
#include "http/scopes.h"
#include "store/store.h"

/*
 * Adds the scopes that the enabled handlers need, and says on stderr, as VERB, what their patterns leave open. Returns
 * 0, or the exit status after saying what went wrong.
 */
int verb_scopes_add(const char *verb, const struct conf *conf, struct store *store, struct scopes *scopes);

#endif
