/*
 * SPDX-License-Identifier: ISC
 *
 * The recorder: reads batches from the spool, judges the bodies, and records them in the database.
 */
#ifndef CANDHOOK_RECORDER_H
#define CANDHOOK_RECORDER_H

#include "base/err.h"
#include "conf/conf.h"
#include "store/store.h"

#include <stdbool.h>

struct recorder;

/* CONF, FOLDER (a descriptor of the spool's folder) and STORE are borrowed. */
struct recorder *recorder_new(const struct conf *conf, int folder, struct store *store);
void recorder_free(struct recorder *recorder);

/* What a step has done. */
struct recorder_done {
    size_t recorded;                       /* bodies; 0: the spool is empty */
    bool delivered_sql, delivered_outside; /* deliveries were made for handlers of kind sql, and of the other kinds */
};

/*
 * Records one batch, and runs sql handlers with it, unless the setting runners is 0. After a failure the same batch
 * comes again.
 */
MUST_CHECK enum result recorder_step(struct recorder *recorder, struct recorder_done *done, struct err *err);

/* Returns what the last step could not read or remove in the spool, and why; NULL when there was nothing. */
const struct err *recorder_trouble(const struct recorder *recorder);

/* Returns whether the spool holds bodies that are not recorded and can be read. */
bool recorder_has_more(struct recorder *recorder);

/*
 * Waits until the spool changed, a signal came, or TIMEOUT_MS passed. After a change it lingers for some milliseconds,
 * so that more events share the transaction.
 */
void recorder_wait(struct recorder *recorder, int timeout_ms);

#endif
