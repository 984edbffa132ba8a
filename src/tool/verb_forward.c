/*
 * SPDX-License-Identifier: ISC
 *
 * candhook forward: POSTs recorded events from the database to a server, as canD would, and shows its answers. For
 * developing on one's own machine: no tunnel is needed, and nothing passes through anybody else's hands.
 *
 * Events may become visible a little after later ones (two spools, a recorder that was held up). So --follow looks back
 * some seconds each time, and remembers which events it has sent.
 */
#include <config.h>

#include "base/clock.h"
#include "base/signals.h"
#include "http/http.h"
#include "http/url.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <inttypes.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define BATCH 100
#define TIMEOUT_MS 30000L
#define LOOK_BACK_MS 10000
#define LOOK_EVERY_MS 1000
#define REMEMBERED 65536 /* events that were sent */
#define ID_BYTES 40
#define TIME_BYTES 40

struct options {
    const char *to, *module, *type;
    int64_t since_ms; /* -1: not given */
    int follow;
};

struct forward {
    const char *verb;
    const struct options *options;
    struct store *store;
    struct http *pool; /* not http_send: a wait for an answer ends when we are told to end */
    int64_t newest_ms;
    char (*ring)[ID_BYTES]; /* the ids that were sent, the oldest overwritten */
    size_t next;
    void *tree; /* of those in the ring */
    unsigned long sent, good;
    int down; /* that the target does not answer was said */
};

/* ---- options ---- */

/* 30s, 5m, 1h, 2d; milliseconds, or -1. */
static int64_t read_duration(const char *text)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || number < 0 || number > 100000 || end[0] == '\0' || end[1] != '\0')
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit)
            return number * units[i].ms;
    return -1;
}

static const struct argp_option option_table[] = {
    {"to", 't', "URL", 0, "Where to: http://localhost:3000/webhook", 0},
    {"since", 's', "TIME", 0, "Begin with what came in so long ago: 30s, 5m, 1h, 2d", 0},
    {"type", 'y', "TYPE", 0, "Only this type: product.created, or product.*", 0},
    {"module", 'm', "MODULE", 0, "Only this module", 0},
    {"follow", 'f', NULL, 0, "Go on with what comes in, until Ctrl-C", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 't')
        options->to = text;
    else if (key == 'y')
        options->type = text;
    else if (key == 'm')
        options->module = text;
    else if (key == 'f')
        options->follow = 1;
    else if (key == 's' && (options->since_ms = read_duration(text)) < 0)
        argp_error(state, "--since takes a time such as 30s, 5m, 1h or 2d, not %s", text);
    else if (key == 's')
        return 0;
    else if (key == ARGP_KEY_END && options->to == NULL)
        argp_error(state, "where to? Give --to http://localhost:3000/webhook");
    else if (key == ARGP_KEY_END && options->since_ms < 0 && !options->follow)
        argp_error(state, "which events? Give --since 1h, or --follow for those to come");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "POSTs recorded events to a server, as canD would, and shows its answers.\v"
    "The events come from the database, in the order of receipt; handlers and their outcomes are not concerned. With "
    "--follow, an event that the server does not answer is sent again until it is answered.\n"
    "Exit status: 0 when every answer was 2xx, 1 when one was not, 69 when there was no answer, or no database, 64 for "
    "wrong usage.",
    NULL,
    NULL,
    NULL};

/* ---- times ---- */

/* The text that the database takes and gives: 2026-11-23T20:15:00.123Z. */
static void print_time(int64_t ms, char text[TIME_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    char day[24];

    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    snprintf(text, TIME_BYTES, "%s.%03dZ", day, (int)(ms % 1000));
}

static int64_t read_time(const char *text)
{
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);

    return rest != NULL ? (int64_t)timegm(&utc) * 1000 + (*rest == '.' ? atoi(rest + 1) : 0) : 0;
}

/* ---- what was sent ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int was_sent(const struct forward *forward, const char *id)
{
    return tfind(id, &forward->tree, compare) != NULL;
}

static void remember(struct forward *forward, const char *id)
{
    char *place = forward->ring[forward->next++ % REMEMBERED];

    if (*place != '\0')
        tdelete(place, &forward->tree, compare);
    snprintf(place, ID_BYTES, "%s", id);
    if (tsearch(place, &forward->tree, compare) == NULL)
        abort();
}

/* ---- one event ---- */

/* Takes out the blanks that the database puts between the parts of a JSON text; canD sends none. */
static char *compact(const char *json)
{
    char *text = malloc(strlen(json) + 1), *to = text;
    int quoted = 0;

    if (text == NULL)
        abort();
    for (; *json != '\0'; json++) {
        if (quoted && *json == '\\')
            *to++ = *json++;
        else if (*json == '"')
            quoted = !quoted;
        if (quoted || *json != ' ')
            *to++ = *json;
    }
    *to = '\0';
    return text;
}

/* Names from outside are not let loose on a terminal. */
static void print_name(const char *name)
{
    for (; *name != '\0'; name++)
        putchar((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name);
}

static void say_answer(const struct store_event *event, const struct http_answer *answer)
{
    printf("%s  ", event->received_at);
    print_name(event->module);
    putchar(':');
    print_name(event->type);
    printf("  %s  %d%s%s  %.0f ms\n", event->id, answer->status, *answer->reason != '\0' ? " " : "", answer->reason,
           answer->seconds * 1000);
    fflush(stdout);
}

/* Says once that there is no answer. */
static void say_down(struct forward *forward, const struct err *err)
{
    if (!forward->down)
        fprintf(stderr, "%s: %s%s\n", forward->verb, err->text,
                forward->options->follow ? "; I try the same event again until it is answered" : "");
    forward->down = 1;
}

/* Waits for the answer, or until we are told to end: RESULT_RETRY then. */
static enum result exchange(struct forward *forward, const char *body, struct http_answer *answer, struct err *err)
{
    const struct http_request request = {.method = "POST",
                                         .url = forward->options->to,
                                         .headers = {"Content-Type: application/json"},
                                         .body = body,
                                         .body_length = strlen(body),
                                         .timeout_ms = TIMEOUT_MS};
    enum result result = http_start(forward->pool, &request, forward, err);

    if (result != RESULT_OK)
        return result;
    while (!signals_stop_asked()) {
        if (http_next(forward->pool, &result, answer, err) != NULL)
            return result;
        http_wait(forward->pool, NULL, 0, -1);
    }
    http_stop(forward->pool, forward);
    return RESULT_RETRY;
}

/* Sends one event; with --follow until it is answered, or we are told to end. Returns 0, or the exit status. */
static int send_one(struct forward *forward, const struct store_event *event)
{
    char *body = compact(event->body);
    struct http_answer answer;
    struct err err;
    enum result result;

    while ((result = exchange(forward, body, &answer, &err)) == RESULT_RETRY && !signals_stop_asked()) {
        say_down(forward, &err);
        if (!forward->options->follow)
            break;
        signals_poll(NULL, 0, LOOK_EVERY_MS);
    }
    free(body);
    if (result == RESULT_FAIL)
        say_down(forward, &err);
    if (result != RESULT_OK)
        return result == RESULT_FAIL ? EX_USAGE : signals_stop_asked() ? 0 : EX_UNAVAILABLE;
    forward->down = 0;
    forward->sent++;
    forward->good += answer.status >= 200 && answer.status <= 299;
    say_answer(event, &answer);
    http_answer_free(&answer);
    remember(forward, event->id);
    return 0;
}

/* ---- all of them ---- */

static int send_page(struct forward *forward, const struct store_page *page)
{
    int status = 0;

    for (size_t i = 0; i < page->count && status == 0; i++) {
        int64_t received = read_time(page->events[i].received_at);

        signals_poll(NULL, 0, 0); /* lets a signal in */
        if (signals_stop_asked())
            break;
        if (received > forward->newest_ms)
            forward->newest_ms = received;
        if (!was_sent(forward, page->events[i].id))
            status = send_one(forward, &page->events[i]);
    }
    return status;
}

/* Sends what was received from FROM_MS on. Returns 0, or the exit status. */
static int pass(struct forward *forward, int64_t from_ms, enum result *result, struct err *err)
{
    const struct options *options = forward->options;
    char after[TIME_BYTES], after_id[ID_BYTES] = "";
    size_t count = BATCH;
    int status = 0;

    print_time(from_ms, after);
    while (count == BATCH && status == 0 && !signals_stop_asked()) {
        struct store_page page;

        *result = store_connect(forward->store, 1, err);
        if (*result == RESULT_OK)
            *result = store_events(forward->store,
                                   &(struct store_event_query){.after = after,
                                                               .after_id = *after_id != '\0' ? after_id : NULL,
                                                               .module = options->module,
                                                               .type = options->type,
                                                               .batch = BATCH},
                                   &page, err);
        if (*result != RESULT_OK)
            return 0;
        count = page.count;
        status = send_page(forward, &page);
        if (count > 0) {
            snprintf(after, sizeof after, "%s", page.events[count - 1].received_at);
            snprintf(after_id, sizeof after_id, "%s", page.events[count - 1].id);
        }
        store_free_page(&page);
    }
    return status;
}

/* Returns the exit status. */
static int forward_all(struct forward *forward)
{
    const struct options *options = forward->options;
    int64_t start = clock_real_ms() - (options->since_ms >= 0 ? options->since_ms : 0);
    int status = 0, lost = 0;

    forward->newest_ms = start;
    while (status == 0 && !signals_stop_asked()) {
        int64_t from = forward->newest_ms - LOOK_BACK_MS;
        enum result result = RESULT_OK;
        struct err err;

        status = pass(forward, from > start ? from : start, &result, &err);
        if (result != RESULT_OK && (!options->follow || result == RESULT_FAIL))
            return verb_fail(forward->verb, result, &err);
        if (result != RESULT_OK && !lost)
            fprintf(stderr, "%s: %s; I wait for the database\n", forward->verb, err.text);
        lost = result != RESULT_OK;
        if (!options->follow)
            break;
        signals_poll(NULL, 0, LOOK_EVERY_MS);
    }
    fprintf(stderr, "%s: %lu of %lu were taken\n", forward->verb, forward->good, forward->sent);
    return status != 0 ? status : forward->good == forward->sent ? 0 : 1;
}

static void keep(void *id)
{
    (void)id; /* it lies in the ring */
}

int verb_forward(int argc, char **argv)
{
    struct options options = {.since_ms = -1};
    struct forward forward = {.verb = argv[0], .options = &options};
    struct conf *conf;
    struct err err;
    char *place;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (url_server(options.to, &place, &err) != RESULT_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return EX_USAGE;
    }
    free(place);
    status = verb_begin_store(argv[0], 1, &conf, &forward.store);
    if (status != 0)
        return status;
    if (!url_is_local(options.to))
        fprintf(stderr, "%s: note that the events leave this machine\n", argv[0]);
    signals_catch();
    forward.pool = http_new();
    forward.ring = calloc(REMEMBERED, sizeof *forward.ring);
    if (forward.ring == NULL)
        abort();
    status = forward_all(&forward);
    tdestroy(forward.tree, keep);
    free(forward.ring);
    http_free(forward.pool);
    store_free(forward.store);
    conf_free(conf);
    return status;
}
