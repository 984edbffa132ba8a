/*
 * SPDX-License-Identifier: ISC
 *
 * candhook status: one screen of how it goes, or the same as JSON, and whether it goes on at all. What the spool tells
 * is shown without a database, too.
 */
#include <config.h>

#include "tool/inspect.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define RECORDING_SECONDS 60 /* an event that waits longer for its recording tells of a stall, */
#define DUE_SECONDS 300      /* and so does a delivery that could run, */
#define START_SECONDS 10     /* or either, if no worker is there */
#define REASONS 6

struct options {
    int json;
};

/* All that was found. */
struct status {
    const struct conf *conf;
    struct inspection look;
    struct store_facts facts;
    int has_spool, has_database;
    struct err spool_err, database_err;
    char reasons[REASONS][256]; /* why it is not healthy */
    size_t reason_count;
};

static const struct argp_option option_table[] = {
    {"json", 'j', NULL, 0, "Print JSON, one object", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    (void)text;
    if (key != 'j')
        return ARGP_ERR_UNKNOWN;
    options->json = 1;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Shows the worker, the spool, the answers given, and what was received and handled in the last hour and day.\v"
    "Exit status: 0 when it goes on; 1 when it is stalled: an event has waited for more than a minute to be recorded, "
    "a "
    "delivery that could run for more than five, or either waits and no worker runs; 69 when the database cannot be "
    "reached. What outcomes say is no reason for 1: candhook doctor looks closer.",
    NULL,
    NULL,
    NULL};

/* ---- finding out ---- */

__attribute__((format(printf, 2, 3))) static void add_reason(struct status *status, const char *format, ...)
{
    va_list args;

    if (status->reason_count == REASONS)
        return;
    va_start(args, format);
    vsnprintf(status->reasons[status->reason_count++], sizeof status->reasons[0], format, args);
    va_end(args);
}

static long number(const struct status *status, const char *area, const char *key)
{
    return strtol(store_find_fact(&status->facts, area, key), NULL, 10);
}

static void judge(struct status *status)
{
    long oldest = inspect_oldest_seconds(&status->look), due = number(status, "deliveries", "oldest_due_s");
    char age[32];

    if (!status->has_spool)
        add_reason(status, "%.250s", status->spool_err.text);
    if (oldest > RECORDING_SECONDS)
        add_reason(status, "an event has waited to be recorded for %s", inspect_age(oldest, age));
    if (due > DUE_SECONDS)
        add_reason(status, "a delivery could have run for %s", inspect_age(due, age));
    if (status->has_spool && status->look.worker == 0 && (oldest > START_SECONDS || due > START_SECONDS))
        add_reason(status, status->look.stopped ? "no worker runs, since a person ran candhook stop: run candhook work"
                                                : "no worker runs, and work waits");
}

static void find_out(struct status *status)
{
    struct store *store = store_new(status->conf->database);
    enum result result = store_connect(store, 1, &status->database_err);

    if (result == RESULT_OK)
        result = store_status(store, &status->facts, &status->database_err);
    status->has_database = result == RESULT_OK;
    store_free(store);
    status->has_spool = inspect_spool(&status->look, status->conf, status->has_database ? &status->facts : NULL,
                                      &status->spool_err) == RESULT_OK;
    judge(status);
}

static const char *verdict(const struct status *status)
{
    if (!status->has_database)
        return "database unreachable";
    return status->reason_count == 0 ? "healthy" : "stalled";
}

/* ---- for people ---- */

static void write_time(time_t when, char text[32])
{
    struct tm utc;

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &utc));
}

static void print_worker(const struct inspection *look)
{
    char since[32], age[32];

    printf("worker      ");
    if (look->worker > 0 && look->worker_since > 0) {
        write_time(look->worker_since, since);
        printf("runs, process %d since %s (%s)\n", (int)look->worker, since,
               inspect_age(time(NULL) - look->worker_since, age));
    } else if (look->worker != 0) {
        printf("runs, where its process cannot be seen from here\n");
    } else {
        printf("does not run%s\n", look->stopped ? ": a person ran candhook stop" : "");
    }
}

static void print_spool(const struct status *status)
{
    const struct spool_depth *depth = &status->look.depth;
    char age[32], size[32];

    printf("spool       %s%zu events (%s) not recorded", status->has_database ? "" : "at most ", depth->events,
           inspect_size(depth->bytes, size));
    if (depth->events > 0)
        printf(", the oldest %s old", inspect_age(inspect_oldest_seconds(&status->look), age));
    printf("\n");
    if (depth->damaged > 0)
        printf("            %zu files in damaged/: the disk lost bytes\n", depth->damaged);
}

static void print_answers(const struct answer_totals *answers)
{
    printf("answers    ");
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        printf(" %d: %ju%s", answer_counts_statuses[i], (uintmax_t)answers->counts[i],
               i + 1 < ANSWER_COUNTS_STATUSES ? "," : "");
    if (*answers->since != '\0')
        printf("; since %s", answers->since);
    printf("\n            %zu responder%s run%s now\n", answers->responders, answers->responders == 1 ? "" : "s",
           answers->responders == 1 ? "s" : "");
}

static void print_counts(const struct status *status)
{
    static const struct {
        const char *area, *hour, *day, *text;
    } lines[] = {{"events", "received_1h", "received_24h", "events"},
                 {"events", "malformed_1h", "malformed_24h", "malformed bodies"},
                 {"outcomes", "ok_1h", "ok_24h", "outcomes ok"},
                 {"outcomes", "retry_1h", "retry_24h", "attempts to be tried again"},
                 {"outcomes", "failed_1h", "failed_24h", "outcomes failed"},
                 {"outcomes", "unhandled_1h", "unhandled_24h", "events unhandled"}};

    printf("\n%12s %12s\n", "last hour", "last day");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        printf("%12ld %12ld  %s\n", number(status, lines[i].area, lines[i].hour),
               number(status, lines[i].area, lines[i].day), lines[i].text);
    printf("\ndeliveries  %ld due, %ld running, %ld put off, %ld held for a bot token, %ld paused\n",
           number(status, "deliveries", "due"), number(status, "deliveries", "running"),
           number(status, "deliveries", "put_off"), number(status, "deliveries", "held"),
           number(status, "deliveries", "paused"));
}

/* The JSON value of a handler's key, without quotes; "-" for null. */
static const char *handler_value(const struct store_facts *facts, const char *name, const char *key, char text[64])
{
    const char *value = "null";
    size_t length;

    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "handler") == 0 && strcmp(facts->facts[i].name, name) == 0 &&
            strcmp(facts->facts[i].key, key) == 0)
            value = facts->facts[i].value;
    if (strcmp(value, "null") == 0)
        return "-";
    value += *value == '"';
    length = strcspn(value, "\".");
    snprintf(text, 64, "%.*s", (int)(length < 63 ? length : 63), value);
    return text;
}

static void print_handlers(const struct store_facts *facts)
{
    int said = 0;

    for (size_t i = 0; i < facts->count; i++) {
        const struct store_fact *fact = &facts->facts[i];
        char ok[64], failed[64], ok_count[64], failed_count[64], left[64], enabled[64];

        if (strcmp(fact->area, "handler") != 0 || strcmp(fact->key, "name") != 0)
            continue;
        if (!said++)
            printf("\n%-24s %-20s %-20s %10s %10s %10s\n", "handler", "last ok", "last failed", "ok 24h", "failed 24h",
                   "unfinished");
        printf("%-24s %-20s %-20s %10s %10s %10s%s\n", fact->name, handler_value(facts, fact->name, "last_ok", ok),
               handler_value(facts, fact->name, "last_failed", failed),
               handler_value(facts, fact->name, "ok_24h", ok_count),
               handler_value(facts, fact->name, "failed_24h", failed_count),
               handler_value(facts, fact->name, "unfinished", left),
               strcmp(handler_value(facts, fact->name, "enabled", enabled), "false") == 0 ? "  paused" : "");
    }
}

static void print_text(const struct status *status)
{
    if (status->has_spool) {
        print_worker(&status->look);
        print_spool(status);
        print_answers(&status->look.answers);
    }
    if (status->has_database) {
        print_counts(status);
        print_handlers(&status->facts);
    } else {
        printf("database    %s\n", status->database_err.text);
    }
    printf("\n%s\n", verdict(status));
    for (size_t i = 0; i < status->reason_count; i++)
        printf("    %s\n", status->reasons[i]);
}

/* ---- for programs ---- */

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_spool_json(const struct status *status)
{
    const struct inspection *look = &status->look;
    char since[32];

    printf(",\"worker\":{\"running\":%s,\"pid\":", look->worker != 0 ? "true" : "false");
    if (look->worker > 0)
        printf("%d", (int)look->worker);
    else
        printf("null");
    write_time(look->worker_since, since);
    if (look->worker_since > 0)
        printf(",\"since\":\"%s\"", since);
    printf(",\"stopped\":%s}", look->stopped ? "true" : "false");
    printf(",\"spool\":{\"events\":%zu,\"bytes\":%ju,\"oldest_s\":", look->depth.events, (uintmax_t)look->depth.bytes);
    if (look->depth.events > 0)
        printf("%ld", inspect_oldest_seconds(look));
    else
        printf("null");
    printf(",\"exact\":%s,\"damaged\":%zu}", status->has_database ? "true" : "false", look->depth.damaged);
    printf(",\"answers\":{\"since\":");
    if (*look->answers.since != '\0')
        print_string(look->answers.since);
    else
        printf("null");
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        printf(",\"%d\":%ju", answer_counts_statuses[i], (uintmax_t)look->answers.counts[i]);
    printf("},\"responders\":%zu", look->answers.responders);
}

/* The facts of an area as one object; for handlers, one for each name. They come together. */
static void print_area_json(const struct store_facts *facts, const char *area, const char *name)
{
    const char *comma = "";

    putchar('{');
    for (size_t i = 0; i < facts->count; i++) {
        const struct store_fact *fact = &facts->facts[i];

        if (strcmp(fact->area, area) != 0 || strcmp(fact->name, name) != 0)
            continue;
        printf("%s\"%s\":%s", comma, fact->key, fact->value);
        comma = ",";
    }
    putchar('}');
}

static void print_database_json(const struct store_facts *facts)
{
    static const char *const areas[] = {"events", "outcomes", "deliveries"};
    const char *comma = "";

    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++) {
        printf(",\"%s\":", areas[i]);
        print_area_json(facts, areas[i], "");
    }
    printf(",\"handlers\":[");
    for (size_t i = 0; i < facts->count; i++) {
        if (strcmp(facts->facts[i].area, "handler") != 0 || strcmp(facts->facts[i].key, "name") != 0)
            continue;
        printf("%s", comma);
        print_area_json(facts, "handler", facts->facts[i].name);
        comma = ",";
    }
    putchar(']');
}

static void print_json(const struct status *status)
{
    printf("{\"status\":\"%s\",\"reasons\":[", verdict(status));
    for (size_t i = 0; i < status->reason_count; i++) {
        if (i > 0)
            putchar(',');
        print_string(status->reasons[i]);
    }
    printf("],\"database\":{\"reachable\":%s", status->has_database ? "true" : "false");
    if (!status->has_database) {
        printf(",\"error\":");
        print_string(status->database_err.text);
    }
    putchar('}');
    if (status->has_spool)
        print_spool_json(status);
    if (status->has_database)
        print_database_json(&status->facts);
    puts("}");
}

int verb_status(int argc, char **argv)
{
    struct options options = {0};
    struct status status = {.look.folder = -1};
    struct conf *conf;
    int result;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    result = verb_begin_conf(argv[0], &conf);
    if (result != 0)
        return result;
    status.conf = conf;
    find_out(&status);
    if (options.json)
        print_json(&status);
    else
        print_text(&status);
    result = !status.has_database ? EX_UNAVAILABLE : status.reason_count > 0 ? 1 : 0;
    if (status.has_database)
        store_free_facts(&status.facts);
    inspect_close(&status.look);
    conf_free(conf);
    return result;
}
