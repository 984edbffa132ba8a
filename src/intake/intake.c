/*
 * SPDX-License-Identifier: ISC
 *
 * The state of a responder.
 */
#include <config.h>

#include "intake/intake.h"

#include "base/clock.h"
#include "base/log.h"
#include "spool/secret_use.h"

#include <string.h>
#include <unistd.h>

enum result intake_open(struct intake *intake, struct conf *conf, struct err *err)
{
    struct spool_writer_limits limits = spool_writer_defaults;
    struct err why;
    enum result result;

    memset(intake, 0, sizeof *intake);
    intake->conf = conf;
    result = secrets_load(&intake->secrets, conf->url_secrets, err);
    if (result == RESULT_OK)
        result = spool_open(conf->spool, &intake->folder, err);
    if (result != RESULT_OK) {
        secrets_free(intake->secrets);
        return result;
    }
    limits.min_free = conf->min_free;
    intake->writer = spool_writer_new(intake->folder, &limits);
    if (counts_open(intake->folder, COUNTS_ANSWERS, &intake->counts, &why) != RESULT_OK)
        log_warning("answers=not_counted reason=%s", why.text);
    return RESULT_OK;
}

void intake_refresh(struct intake *intake)
{
    struct err err;

    if (secrets_refresh(intake->secrets, &err) != RESULT_OK)
        log_error("url_secrets=kept reason=%s", err.text);
}

/* Notes by which secrets the records came in; neighbours mostly have the same. */
static void note_secret_uses(struct intake *intake, const char *const *labels, size_t count)
{
    int64_t now = clock_monotonic_ms();
    char name[SECRETS_NAME_BYTES];

    for (size_t i = 0; i < count; i++)
        if ((i == 0 || labels[i] != labels[i - 1]) && secrets_note_use(intake->secrets, labels[i], now, name))
            secret_use_touch(intake->folder, name);
}

bool intake_append(struct intake *intake, const struct segment_record *records, const char *const *labels, size_t count)
{
    struct err err;
    bool durable = spool_writer_append(intake->writer, records, count, &err) == RESULT_OK;

    if (!durable && !intake->failing)
        log_error("spool=failing answer=503 reason=%s", err.text);
    if (durable && intake->failing)
        log_warning("spool=recovered");
    intake->failing = !durable;
    if (durable)
        note_secret_uses(intake, labels, count);
    return durable;
}

/* Returns the smaller one of two times in milliseconds, of which -1 means never. */
static int earlier_ms(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

int intake_run_due(struct intake *intake)
{
    int writer_ms = spool_writer_seal_due(intake->writer), counts_ms = counts_write_due(intake->counts);

    return earlier_ms(writer_ms, counts_ms);
}

void intake_count(struct intake *intake, enum request_status status)
{
    /* The digits by hand: printf would cost a tenth of an event. */
    const char key[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0'};

    counts_add(intake->counts, key, 1);
}

void intake_close(struct intake *intake)
{
    counts_close(intake->counts);
    spool_writer_free(intake->writer);
    close(intake->folder);
    secrets_free(intake->secrets);
}
