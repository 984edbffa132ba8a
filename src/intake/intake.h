/*
 * SPDX-License-Identifier: ISC
 *
 * What a responder holds from its start to its end: configuration, URL secrets, the spool. And the one step that
 * makes a batch of bodies durable.
 */
#ifndef CANDHOOK_INTAKE_H
#define CANDHOOK_INTAKE_H

#include "base/err.h"
#include "conf/conf.h"
#include "conf/secrets.h"
#include "spool/answer_counts.h"
#include "spool/spool.h"

struct intake {
    struct conf *conf;
    struct secrets *secrets;
    int folder; /* the spool's */
    struct spool_writer *writer;
    struct answer_counts *counts; /* NULL: answers are not counted */
    int failing;                  /* the last batch could not be made durable: said once */
};

/* Opens secrets and spool for CONF, which stays the caller's. */
MUST_CHECK enum result intake_open(struct intake *intake, struct conf *conf, struct err *err);

/* Takes over a changed file of URL secrets; what is wrong with it is logged, and the old ones stay. */
void intake_refresh(struct intake *intake);

/* Makes the records durable: 1. Or 0: none of them counts. A change of luck is logged. */
int intake_keep(struct intake *intake, const struct segment_record *records, size_t count);

/* Does what is to be done now and then. Returns the milliseconds until it wants to be called again, -1: no need. */
int intake_tend(struct intake *intake);

void intake_close(struct intake *intake);

#endif
