/*
 * SPDX-License-Identifier: ISC
 *
 * candhook status: the state of this installation on one screen or as JSON, and by its exit status whether work goes
 * on. The spool's part is shown without a database, too. What costs time with the number of events is read only when a
 * person asks for it (--counts): monitoring calls this every few seconds.
 */
#include <config.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/memory.h"
#include "http/oauth.h"
#include "status/installation.h"
#include "status/openmetrics.h"
#include "status/status_json.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define STATUSES (sizeof statuses / sizeof *statuses)

static const char *const statuses[] = COUNTS_STATUSES;

struct status_options {
    bool json, counts, openmetrics;
    const char *output; /* NULL: stdout */
};

static const struct argp_option status_option_table[] = {
    {.name = "counts", .key = 'c', .doc = "Count what was received and handled in the last hour and day, too"},
    {.name = "json", .key = 'j', .doc = "Print JSON, one object"},
    {.name = "openmetrics", .key = 'm', .doc = "Print OpenMetrics text, for Prometheus"},
    {.name = "output",
     .key = 'o',
     .arg = "FILE",
     .doc = "With --openmetrics: replace FILE in one step, and print nothing"},
    {0},
};

static error_t parse_status_option(int key, char *text, struct argp_state *state)
{
    struct status_options *options = state->input;

    if (key == 'j')
        options->json = true;
    else if (key == 'c')
        options->counts = true;
    else if (key == 'm')
        options->openmetrics = true;
    else if (key == 'o')
        options->output = text;
    else if (key == ARGP_KEY_END && options->openmetrics && (options->json || options->counts))
        argp_error(state, "--openmetrics goes with neither --json nor --counts");
    else if (key == ARGP_KEY_END && options->output != NULL && !options->openmetrics)
        argp_error(state, "--output goes with --openmetrics");
    else if (key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp status_argp = {
    .options = status_option_table,
    .parser = parse_status_option,
    .doc =
        "Shows the worker, the spool, the answers given, how long deliveries have waited, bot tokens, and the handlers.\v"
        "Exit status: 0 when work goes on; 1 when it is stalled: an event has waited for more than a minute to be "
        "recorded, a delivery that could run for more than five minutes, or either waits and no worker runs; 69 when "
        "the database cannot be reached. Failed outcomes are no reason for 1: candhook doctor examines more. With "
        "--openmetrics 0 when it was written; 74 when not.",
};

/* ---- for people ---- */

static void print_worker(const struct inspection *spool)
{
    char since[CLOCK_TEXT_BYTES], age[32];

    printf("worker      ");
    if (spool->worker > 0 && spool->worker_since > 0) {
        printf("runs, process %d since %s (%s)\n", (int)spool->worker,
               clock_text_seconds((int64_t)spool->worker_since * 1000, since),
               inspect_age(time(NULL) - spool->worker_since, age));
    } else if (spool->worker != 0) {
        printf("runs, where its process cannot be seen from here\n");
    } else {
        printf("does not run%s\n", spool->stopped ? ": a person ran candhook stop" : "");
    }
}

static void print_spool(const struct installation *status)
{
    const struct spool_depth *depth = &status->spool.depth;
    char age[32], size[32];

    printf("spool       %s%zu events (%s) not recorded", status->has_database ? "" : "at most ", depth->events,
           inspect_size(depth->bytes, size));
    if (depth->events > 0)
        printf(", the oldest %s old", inspect_age(status->backlog.unrecorded_s, age));
    printf("\n");
    if (depth->damaged > 0)
        printf("            %zu files in damaged/: the disk lost bytes\n", depth->damaged);
}

static void print_answers(const struct count_totals *answers)
{
    printf("answers    ");
    for (size_t i = 0; i < STATUSES; i++)
        printf(" %s: %ju%s", statuses[i], (uintmax_t)counts_total(answers, statuses[i]), i + 1 < STATUSES ? "," : "");
    if (*answers->since != '\0')
        printf("; since %s", answers->since);
    printf("\n            %zu responder%s run%s now\n", answers->processes, answers->processes == 1 ? "" : "s",
           answers->processes == 1 ? "s" : "");
}

static void print_due(const struct installation *status)
{
    char age[32];

    if (inspect_has_due(&status->facts))
        printf("deliveries  the oldest that could run has waited for %s\n", inspect_age(status->backlog.due_s, age));
    else
        printf("deliveries  none waits that could run\n");
}

/* Where communities authorize the App again, if the settings tell. */
static void print_install_url(const struct conf *conf)
{
    char *url = oauth_install_url(conf->redirect_uri);

    if (url != NULL)
        printf("            their admins authorize the App again at %s?community_id=ID\n", url);
    free(url);
}

static void print_tokens(const struct installation *status)
{
    long ended = installation_number(status, "tokens", "ended"),
         expiring = installation_number(status, "tokens", "expiring");

    printf("bot tokens  %ld valid, %ld refused or ended, %ld to expire within 7 days%s\n",
           installation_number(status, "tokens", "valid"), ended, expiring,
           ended + expiring > 0 ? ": candhook token list" : "");
    if (ended + expiring > 0)
        print_install_url(status->conf);
}

static void print_counts(const struct installation *status)
{
    static const struct {
        const char *area, *hour, *day, *text;
    } lines[] = {{"events", "received_1h", "received_24h", "events"},
                 {"events", "malformed_1h", "malformed_24h", "malformed bodies"},
                 {"outcomes", "ok_1h", "ok_24h", "outcomes ok"},
                 {"outcomes", "retry_1h", "retry_24h", "attempts with a retry to come"},
                 {"outcomes", "failed_1h", "failed_24h", "outcomes failed"},
                 {"outcomes", "unhandled_1h", "unhandled_24h", "events unhandled"}};

    printf("\n%12s %12s\n", "last hour", "last day");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        printf("%12ld %12ld  %s\n", installation_number(status, lines[i].area, lines[i].hour),
               installation_number(status, lines[i].area, lines[i].day), lines[i].text);
    printf("\n            %ld due, %ld running, %ld put off, %ld held for a bot token, %ld paused\n",
           installation_number(status, "deliveries", "due"), installation_number(status, "deliveries", "running"),
           installation_number(status, "deliveries", "put_off"), installation_number(status, "deliveries", "held"),
           installation_number(status, "deliveries", "paused"));
}

/* Returns the JSON value of a handler's key without quotes; "-" for null. */
static const char *handler_fact(const struct store_facts *facts, const char *name, const char *key, char text[64])
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

static void print_handler(const struct store_facts *facts, const char *name, bool counts)
{
    char ok[64], failed[64], ok_count[64], failed_count[64], left[64], enabled[64];

    printf("%-24s %-20s", name, handler_fact(facts, name, "last_failed", failed));
    if (counts)
        printf(" %-20s %10s %10s %10s", handler_fact(facts, name, "last_ok", ok),
               handler_fact(facts, name, "ok_24h", ok_count), handler_fact(facts, name, "failed_24h", failed_count),
               handler_fact(facts, name, "unfinished", left));
    printf("%s\n", strcmp(handler_fact(facts, name, "enabled", enabled), "false") == 0 ? "  paused" : "");
}

static void print_handler_table(const struct store_facts *facts, bool counts)
{
    bool has_header = false;

    for (size_t i = 0; i < facts->count; i++) {
        const struct store_fact *fact = &facts->facts[i];

        if (strcmp(fact->area, "handler") != 0 || strcmp(fact->key, "name") != 0)
            continue;
        if (!has_header)
            printf("\n%-24s %-20s", "handler", "last failed");
        if (!has_header && counts)
            printf(" %-20s %10s %10s %10s", "last ok", "ok 24h", "failed 24h", "unfinished");
        if (!has_header)
            printf("\n");
        has_header = true;
        print_handler(facts, fact->name, counts);
    }
}

static void print_screen(const struct installation *status, bool counts)
{
    if (status->has_spool) {
        print_worker(&status->spool);
        print_spool(status);
        print_answers(&status->spool.answers);
    }
    if (status->has_database) {
        print_due(status);
        print_tokens(status);
        if (counts)
            print_counts(status);
        print_handler_table(&status->facts, counts);
    } else {
        printf("database    %s\n", status->database_err.text);
    }
    printf("\n%s\n", installation_word(status));
    for (size_t i = 0; i < status->reason_count; i++)
        printf("    %s\n", status->reasons[i]);
}

/* ---- for programs ---- */

static void print_json(const struct installation *status, bool counts)
{
    char *text = status_json_text(status, counts);

    puts(text);
    free(text);
}

/* Writes TEXT to PATH, so that a reader finds the old file or the new one, whole. Others may read it: it holds no
 * secret. */
static enum result replace_metrics(const char *path, const char *text, struct err *err)
{
    char *beside = memory_format("%s.%d", path, (int)getpid());
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = fd >= 0 && io_write_all(fd, text, strlen(text)) && rename(beside, path) == 0;

    if (!written)
        err_set_errno(err, "cannot write %s", path);
    if (fd >= 0) {
        close(fd);
        if (!written)
            unlink(beside);
    }
    free(beside);
    return written ? RESULT_OK : RESULT_FAIL;
}

/* Returns the exit status. */
static int give_openmetrics(const struct installation *status, const char *output)
{
    char *text = openmetrics_text(status);
    struct err err;
    enum result result = RESULT_OK;

    if (output != NULL)
        result = replace_metrics(output, text, &err);
    else
        fputs(text, stdout);
    free(text);
    return result == RESULT_OK ? 0 : verb_fail_with("status", EX_IOERR, &err);
}

/* Shows the state, and returns the exit status. */
static int show_status(const struct installation *status, const struct status_options *options)
{
    if (options->openmetrics)
        return give_openmetrics(status, options->output);
    if (options->json)
        print_json(status, options->counts);
    else
        print_screen(status, options->counts);
    return !status->has_database ? EX_UNAVAILABLE : status->reason_count > 0 ? 1 : 0;
}

int verb_status(int argc, char **argv)
{
    struct status_options options = {.json = false};
    struct installation status;
    struct conf *conf;
    int result;

    argp_parse(&status_argp, argc, argv, 0, NULL, &options);
    result = verb_begin_conf(argv[0], &conf);
    if (result != 0)
        return result;
    installation_read(&status, conf, conf->database,
                      options.openmetrics ? STORE_STATUS_DELIVERIES
                      : options.counts    ? STORE_STATUS_COUNTS
                                          : STORE_STATUS_ONLY);
    result = show_status(&status, &options);
    installation_free(&status);
    conf_free(conf);
    return result;
}
