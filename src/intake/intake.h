/*
 * SPDX-License-Identifier: ISC
 *
 * The state of a responder from its start to its end: configuration, URL secrets, the spool. And the step that makes a
 * batch of bodies durable.
 */
#ifndef CANDHOOK_INTAKE_H
#define CANDHOOK_INTAKE_H

#include "base/err.h"
#include "conf/conf.h"
#include "conf/secrets.h"
#include "intake/request.h"
#include "spool/counts.h"
#include "spool/spool.h"

#include <stdbool.h>

struct intake {
    struct conf *conf;
    struct secrets *secrets;
    int folder; /* the spool's */
    struct spool_writer *writer;
    struct counts *counts; /* NULL: answers are not counted */
    bool failing;          /* the last batch could not be made durable, which was logged */
};

/* Opens secrets and spool for CONF, which stays the caller's. */
MUST_CHECK enum result intake_open(struct intake *intake, struct conf *conf, struct err *err);

/* Reads the file of URL secrets again when it changed. An error is logged, and the old secrets stay in force. */
void intake_refresh(struct intake *intake);

/*
 * Appends COUNT records to the spool; LABELS are those of the secrets that they came in by. Returns true when all
 * records are durable, false when none may be acknowledged. Logs the change between the two, not each failure.
 */
MUST_CHECK bool intake_append(struct intake *intake, const struct segment_record *records, const char *const *labels,
                              size_t count);

/*
 * Does what is due: seals an old segment, writes the counts of answers. Returns the milliseconds until the next of
 * these is due, -1 when none is.
 */
int intake_run_due(struct intake *intake);

/* Counts an answer of STATUS. */
void intake_count(struct intake *intake, enum request_status status);

/* Seals the segment, writes the counts and frees. CONF stays the caller's. */
void intake_close(struct intake *intake);

#endif
