/*
 * SPDX-License-Identifier: ISC
 *
 * What a responder holds.
 */
#include <config.h>

#include "intake.h"

#include "log.h"

#include <string.h>
#include <unistd.h>

enum result intake_open(struct intake *intake, struct conf *conf, struct err *err)
{
    struct spool_writer_limits limits = spool_writer_defaults;
    enum result result;

    memset(intake, 0, sizeof *intake);
    intake->conf = conf;
    result = secrets_load(&intake->secrets, conf->url_secrets, err);
    if (result != RESULT_OK)
        return result;
    result = spool_open(conf->spool, &intake->folder, err);
    if (result != RESULT_OK) {
        secrets_free(intake->secrets);
        return result;
    }
    limits.min_free = conf->min_free;
    intake->writer = spool_writer_new(intake->folder, &limits);
    return RESULT_OK;
}

void intake_refresh(struct intake *intake)
{
    struct err err;

    if (secrets_refresh(intake->secrets, &err) != RESULT_OK)
        log_error("url_secrets=kept reason=\"%s\"", err.text);
}

int intake_keep(struct intake *intake, const struct segment_record *records, size_t count)
{
    struct err err;
    int kept = spool_writer_append(intake->writer, records, count, &err) == RESULT_OK;

    if (!kept && !intake->failing)
        log_error("spool=failing answer=503 reason=\"%s\"", err.text);
    if (kept && intake->failing)
        log_warning("spool=works again");
    intake->failing = !kept;
    return kept;
}

void intake_close(struct intake *intake)
{
    spool_writer_free(intake->writer);
    close(intake->folder);
    secrets_free(intake->secrets);
}
