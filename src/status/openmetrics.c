/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "status/openmetrics.h"

#include "base/memory.h"
#include "spool/counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the format ---- */

/* Begins a family of metrics. UNIT: the end of its name, or NULL. */
static void put_family(FILE *to, const char *name, const char *type, const char *unit, const char *help)
{
    fprintf(to, "# TYPE %s %s\n", name, type);
    if (unit != NULL)
        fprintf(to, "# UNIT %s %s\n", name, unit);
    fprintf(to, "# HELP %s %s\n", name, help);
}

/* Puts a label's value, which has no line feed: no name of a handler has. */
static void put_value(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', to);
        putc(*text, to);
    }
}

#define NO_LABEL ((struct label){NULL, NULL})

struct label {
    const char *name, *value;
};

/* Puts a metric with up to two labels; one without a name is none. */
static void put_metric(FILE *to, const char *name, struct label first, struct label second, uint64_t number)
{
    fputs(name, to);
    if (first.name != NULL) {
        fprintf(to, "{%s=\"", first.name);
        put_value(to, first.value);
        if (second.name != NULL) {
            fprintf(to, "\",%s=\"", second.name);
            put_value(to, second.value);
        }
        fputs("\"}", to);
    }
    fprintf(to, " %" PRIu64 "\n", number);
}

/* Puts a family that is one gauge. */
static void put_gauge(FILE *to, const char *name, const char *unit, const char *help, uint64_t number)
{
    put_family(to, name, "gauge", unit, help);
    put_metric(to, name, NO_LABEL, NO_LABEL, number);
}

/* ---- the spool ---- */

static void put_worker(FILE *to, const struct inspection *spool)
{
    put_gauge(to, "candhook_worker_up", NULL, "Whether a worker runs for the spool", spool->worker != 0);
    if (spool->worker_since > 0)
        put_gauge(to, "candhook_worker_start_time_seconds", "seconds", "When the worker began, since 1970",
                  (uint64_t)spool->worker_since);
    put_gauge(to, "candhook_responders", NULL, "Processes that answer requests now", spool->answers.processes);
}

static void put_spool(FILE *to, const struct installation *installation)
{
    const struct spool_depth *depth = &installation->spool.depth;

    put_gauge(to, "candhook_spool_events", NULL, "Bodies in the spool that are not recorded", depth->events);
    put_gauge(to, "candhook_spool_bytes", "bytes", "Size of the bodies in the spool that are not recorded",
              depth->bytes);
    put_gauge(to, "candhook_spool_oldest_age_seconds", "seconds",
              "How long the oldest body in the spool has waited to be recorded; 0: none waits",
              (uint64_t)installation->backlog.unrecorded_s);
    put_gauge(to, "candhook_spool_damaged_files", NULL, "Files in the spool's folder damaged", depth->damaged);
}

static void put_answers(FILE *to, const struct count_totals *answers)
{
    static const char *const statuses[] = COUNTS_STATUSES;

    put_family(to, "candhook_answers", "counter", NULL, "Answers to requests, by their HTTP status");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        put_metric(to, "candhook_answers_total", (struct label){"status", statuses[i]}, NO_LABEL,
                   counts_total(answers, statuses[i]));
}

/* ---- outcomes ---- */

static void put_counter(FILE *to, const char *family, const char *help, uint64_t number)
{
    char *name = memory_format("%s_total", family);

    put_family(to, family, "counter", NULL, help);
    put_metric(to, name, NO_LABEL, NO_LABEL, number);
    free(name);
}

static void put_attempts(FILE *to, const struct count_totals *outcomes)
{
    static const char *const results[] = {"ok", "retry", "failed", "lost"};

    put_family(to, "candhook_attempts", "counter", NULL, "Attempts that ended, by handler and result");
    for (size_t i = 0; i < outcomes->count; i++) {
        const char *key = outcomes->totals[i].key;

        for (size_t r = 0; r < sizeof results / sizeof *results; r++) {
            size_t length = strlen(results[r]);

            if (strncmp(key, results[r], length) == 0 && key[length] == ' ')
                put_metric(to, "candhook_attempts_total", (struct label){"handler", key + length + 1},
                           (struct label){"result", results[r]}, outcomes->totals[i].number);
        }
    }
}

static uint64_t total_of(const struct count_totals *outcomes, const char *what, const char *handler)
{
    char *key = memory_format("%s %s", what, handler);
    uint64_t number = counts_total(outcomes, key);

    free(key);
    return number;
}

static void put_times_of(FILE *to, const struct count_totals *outcomes, const char *handler)
{
    static const char *const bounds[] = COUNTS_BOUNDS;
    uint64_t sum = 0, milliseconds = total_of(outcomes, "milliseconds", handler);

    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        char within[32];

        snprintf(within, sizeof within, "within %s", bounds[i]);
        sum += total_of(outcomes, within, handler);
        put_metric(to, "candhook_receipt_to_outcome_seconds_bucket", (struct label){"handler", handler},
                   (struct label){"le", bounds[i]}, sum);
    }
    fputs("candhook_receipt_to_outcome_seconds_sum{handler=\"", to);
    put_value(to, handler);
    fprintf(to, "\"} %" PRIu64 ".%03" PRIu64 "\n", milliseconds / 1000, milliseconds % 1000);
    put_metric(to, "candhook_receipt_to_outcome_seconds_count", (struct label){"handler", handler}, NO_LABEL, sum);
}

static void put_times(FILE *to, const struct count_totals *outcomes)
{
    static const char milliseconds[] = "milliseconds ";

    put_family(to, "candhook_receipt_to_outcome_seconds", "histogram", "seconds",
               "Time from the receipt of an event to its outcome, ok or failed, by handler");
    for (size_t i = 0; i < outcomes->count; i++)
        if (strncmp(outcomes->totals[i].key, milliseconds, sizeof milliseconds - 1) == 0)
            put_times_of(to, outcomes, outcomes->totals[i].key + sizeof milliseconds - 1);
}

static void put_outcomes(FILE *to, const struct count_totals *outcomes)
{
    put_counter(to, "candhook_events_recorded", "Events that were recorded", counts_total(outcomes, "recorded"));
    put_counter(to, "candhook_events_unhandled", "Events that no handler matches", counts_total(outcomes, "unhandled"));
    put_counter(to, "candhook_bodies_malformed", "Bodies that are no events", counts_total(outcomes, "malformed"));
    put_attempts(to, outcomes);
    put_times(to, outcomes);
}

/* ---- the database ---- */

static void put_handlers(FILE *to, const struct store_facts *facts)
{
    put_family(to, "candhook_deliveries", "gauge", NULL, "Deliveries that are not settled, by handler and state");
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "delivery") == 0)
            put_metric(to, "candhook_deliveries", (struct label){"handler", facts->facts[i].name},
                       (struct label){"state", facts->facts[i].key}, strtoull(facts->facts[i].value, NULL, 10));
    put_family(to, "candhook_handler_enabled", "gauge", NULL, "Whether a handler is enabled");
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "handler") == 0 && strcmp(facts->facts[i].key, "enabled") == 0)
            put_metric(to, "candhook_handler_enabled", (struct label){"handler", facts->facts[i].name}, NO_LABEL,
                       strcmp(facts->facts[i].value, "true") == 0);
}

static void put_database(FILE *to, const struct installation *installation)
{
    put_gauge(to, "candhook_deliveries_oldest_due_age_seconds", "seconds",
              "How long the oldest delivery that could run has waited; 0: none waits",
              (uint64_t)installation->backlog.due_s);
    put_handlers(to, &installation->facts);
    put_family(to, "candhook_bot_tokens", "gauge", NULL, "Bot tokens: valid, or ended (refused, revoked, expired)");
    put_metric(to, "candhook_bot_tokens", (struct label){"state", "valid"}, NO_LABEL,
               (uint64_t)installation_number(installation, "tokens", "valid"));
    put_metric(to, "candhook_bot_tokens", (struct label){"state", "ended"}, NO_LABEL,
               (uint64_t)installation_number(installation, "tokens", "ended"));
    put_gauge(to, "candhook_bot_tokens_expiring", NULL, "Valid bot tokens that expire within seven days",
              (uint64_t)installation_number(installation, "tokens", "expiring"));
}

char *openmetrics_text(const struct installation *installation)
{
    char *text;
    size_t length;
    FILE *to = memory_open_stream(&text, &length);

    put_family(to, "candhook_build_info", "gauge", NULL, "The version of candhook");
    put_metric(to, "candhook_build_info", (struct label){"version", PACKAGE_VERSION}, NO_LABEL, 1);
    put_gauge(to, "candhook_working", NULL, "Whether work goes on: 1 while candhook status says healthy",
              installation->has_database && installation->reason_count == 0);
    put_gauge(to, "candhook_database_up", NULL, "Whether the database answers", installation->has_database);
    if (installation->has_spool) {
        put_worker(to, &installation->spool);
        put_spool(to, installation);
        put_answers(to, &installation->spool.answers);
        put_outcomes(to, &installation->spool.outcomes);
    }
    if (installation->has_database)
        put_database(to, installation);
    fputs("# EOF\n", to);
    memory_close_stream(to);
    return text;
}
