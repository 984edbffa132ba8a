/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "status/installation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void add_reason(struct installation *installation, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(installation->reasons[installation->reason_count++], sizeof installation->reasons[0], format, args);
    va_end(args);
}

static void find_reasons(struct installation *installation)
{
    const struct inspect_backlog *backlog = &installation->backlog;
    char age[32];

    if (!installation->has_spool)
        add_reason(installation, "%.250s", installation->spool_err.text);
    if (backlog->recording_stalled)
        add_reason(installation, "an event has waited to be recorded for %s: candhook doctor looks for the reason",
                   inspect_age(backlog->unrecorded_s, age));
    if (backlog->handling_stalled)
        add_reason(installation, "a delivery could have run for %s: candhook doctor looks for the reason",
                   inspect_age(backlog->due_s, age));
    if (installation->has_spool && backlog->worker_missing)
        add_reason(installation,
                   installation->spool.stopped
                       ? "no worker runs, since a person ran candhook stop: run candhook work"
                       : "no worker runs, and work waits: the next event starts one, and so does candhook work");
}

void installation_read(struct installation *installation, const struct conf *conf, const char *conninfo,
                       enum store_status_more more)
{
    struct store *store = store_new(conninfo);
    const struct store_facts *facts;
    enum result result;

    *installation = (struct installation){.conf = conf, .spool.folder = -1};
    result = store_connect(store, true, &installation->database_err);
    if (result == RESULT_OK)
        result = store_status(store, more, &installation->facts, &installation->database_err);
    installation->has_database = result == RESULT_OK;
    store_free(store);
    facts = installation->has_database ? &installation->facts : NULL;
    installation->has_spool = inspect_spool(&installation->spool, conf, facts, &installation->spool_err) == RESULT_OK;
    installation->backlog = inspect_judge(&installation->spool, facts);
    find_reasons(installation);
}

void installation_free(struct installation *installation)
{
    store_free_facts(&installation->facts);
    inspect_close(&installation->spool);
}

const char *installation_word(const struct installation *installation)
{
    if (!installation->has_database)
        return "database unreachable";
    return installation->reason_count == 0 ? "healthy" : "stalled";
}

long installation_number(const struct installation *installation, const char *area, const char *key)
{
    return inspect_number(&installation->facts, area, key);
}
