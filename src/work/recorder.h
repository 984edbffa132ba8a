/*
 * SPDX-License-Identifier: ISC
 *
 * The recorder: takes batches from the spool, judges the bodies, and records them in the database.
 */
#ifndef CANDHOOK_RECORDER_H
#define CANDHOOK_RECORDER_H

#include "base/err.h"
#include "conf/conf.h"
#include "store/store.h"

struct recorder;

/* FOLDER (the spool's), CONF and STORE are borrowed. */
struct recorder *recorder_new(const struct conf *conf, int folder, struct store *store);
void recorder_free(struct recorder *recorder);

/*
 * Records one batch. *RECORDED is how many bodies it held, 0 when the spool is empty. On RESULT_RETRY or RESULT_FAIL
 * nothing is lost: the same batch comes again.
 */
MUST_CHECK enum result recorder_step(struct recorder *recorder, size_t *recorded, struct err *err);

/* What of the spool the last step could not read, or remove, and why; NULL when all was well. It is tried again. */
const struct err *recorder_trouble(const struct recorder *recorder);

/* Whether the spool holds something that this recorder has not recorded, and could. */
int recorder_has_more(struct recorder *recorder);

/*
 * Waits until the spool changed, a signal came, or TIMEOUT_MS passed. Then it lingers some milliseconds for more, and
 * longer while events come in, since the database's work is by the batch.
 */
void recorder_wait(struct recorder *recorder, int timeout_ms);

#endif
