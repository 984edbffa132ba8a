/*
 * SPDX-License-Identifier: ISC
 *
 * What a responder holds.
 */
#include <config.h>

#include "intake/intake.h"

#include "base/clock.h"
#include "base/log.h"
#include "spool/secret_use.h"

#include <errno.h>
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
    intake->counts = answer_counts_open(intake->folder);
    if (intake->counts == NULL)
        log_warning("answers=not_counted reason=%s", strerror(errno));
    return RESULT_OK;
}

void intake_refresh(struct intake *intake)
{
    struct err err;

    if (secrets_refresh(intake->secrets, &err) != RESULT_OK)
        log_error("url_secrets=kept reason=%s", err.text);
}

/* Notes which secrets the records came in by; neighbours have mostly the same. */
static void note_use(struct intake *intake, const struct segment_record *records, size_t count)
{
    int64_t now = clock_monotonic_ms();
    char name[SECRETS_NAME_BYTES];

    for (size_t i = 0; i < count; i++) {
        if ((i == 0 || records[i].label != records[i - 1].label) &&
            secrets_note_use(intake->secrets, records[i].label, now, name))
            secret_use_record(intake->folder, name);
    }
}

int intake_keep(struct intake *intake, const struct segment_record *records, size_t count)
{
    struct err err;
    int kept = spool_writer_append(intake->writer, records, count, &err) == RESULT_OK;

    if (!kept && !intake->failing)
        log_error("spool=failing answer=503 reason=%s", err.text);
    if (kept && intake->failing)
        log_warning("spool=recovered");
    intake->failing = !kept;
    if (kept)
        note_use(intake, records, count);
    return kept;
}

int intake_tend(struct intake *intake)
{
    int writer_ms = spool_writer_tend(intake->writer), counts_ms = answer_counts_write_due(intake->counts);

    return writer_ms < 0 || (counts_ms >= 0 && counts_ms < writer_ms) ? counts_ms : writer_ms;
}

void intake_close(struct intake *intake)
{
    answer_counts_close(intake->counts);
    spool_writer_free(intake->writer);
    close(intake->folder);
    secrets_free(intake->secrets);
}
