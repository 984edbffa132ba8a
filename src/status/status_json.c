/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "status/status_json.h"

#include "base/clock.h"
#include "event/json_write.h"

#include <string.h>

#define STATUSES (sizeof statuses / sizeof *statuses)

static const char *const statuses[] = COUNTS_STATUSES;

/* Adds the worker, the spool and the answers. */
static void write_spool_json(struct json_writer *json, const struct installation *status)
{
    const struct inspection *spool = &status->spool;
    char since[CLOCK_TEXT_BYTES];

    json_write_object(json, "worker");
    json_write_bool(json, "running", spool->worker != 0);
    if (spool->worker > 0)
        json_write_integer(json, "pid", spool->worker);
    else
        json_write_null(json, "pid");
    if (spool->worker_since > 0)
        json_write_text(json, "since", clock_text_seconds((int64_t)spool->worker_since * 1000, since));
    json_write_bool(json, "stopped", spool->stopped);
    json_write_close(json);
    json_write_object(json, "spool");
    json_write_integer(json, "events", (int64_t)spool->depth.events);
    json_write_integer(json, "bytes", (int64_t)spool->depth.bytes);
    if (spool->depth.events > 0)
        json_write_integer(json, "oldest_s", status->backlog.unrecorded_s);
    else
        json_write_null(json, "oldest_s");
    json_write_bool(json, "exact", status->has_database);
    json_write_integer(json, "damaged", (int64_t)spool->depth.damaged);
    json_write_close(json);
}

static void write_answers_json(struct json_writer *json, const struct count_totals *answers)
{
    json_write_object(json, "answers");
    json_write_text(json, "since", *answers->since != '\0' ? answers->since : NULL);
    for (size_t i = 0; i < STATUSES; i++)
        json_write_integer(json, statuses[i], (int64_t)counts_total(answers, statuses[i]));
    json_write_close(json);
    json_write_integer(json, "responders", (int64_t)answers->processes);
}

/* Adds the facts of an area, whose values are JSON, as an object; for handlers, those of one NAME. */
static void write_area_json(struct json_writer *json, const struct store_facts *facts, const char *area,
                            const char *name)
{
    json_write_object(json, strcmp(area, "handler") == 0 ? NULL : area);
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, area) == 0 && strcmp(facts->facts[i].name, name) == 0)
            json_write_json(json, facts->facts[i].key, facts->facts[i].value);
    json_write_close(json);
}

static void write_database_json(struct json_writer *json, const struct store_facts *facts, bool counts)
{
    static const char *const areas[] = {"deliveries", "tokens", "events", "outcomes"};

    for (size_t i = 0; i < (counts ? sizeof areas / sizeof *areas : 2); i++)
        write_area_json(json, facts, areas[i], "");
    json_write_array(json, "handlers");
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "handler") == 0 && strcmp(facts->facts[i].key, "name") == 0)
            write_area_json(json, facts, "handler", facts->facts[i].name);
    json_write_close(json);
}

char *status_json_text(const struct installation *status, bool counts)
{
    struct json_writer *json = json_write_new();

    json_write_text(json, "status", installation_word(status));
    json_write_array(json, "reasons");
    for (size_t i = 0; i < status->reason_count; i++)
        json_write_text(json, NULL, status->reasons[i]);
    json_write_close(json);
    json_write_object(json, "database");
    json_write_bool(json, "reachable", status->has_database);
    if (!status->has_database)
        json_write_text(json, "error", status->database_err.text);
    json_write_close(json);
    if (status->has_spool) {
        write_spool_json(json, status);
        write_answers_json(json, &status->spool.answers);
    }
    if (status->has_database)
        write_database_json(json, &status->facts, counts);
    return json_write_finish(json);
}
