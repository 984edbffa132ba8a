/*
 * SPDX-License-Identifier: ISC
 *
 * candhook forward: POSTs recorded events from the database to a server, as canD would, and prints its answers. It is
 * for development on one's own machine: it needs no tunnel, and no third party sees the events.
 *
 * An event may be recorded after events that were received later: there may be two spools, or a recorder that had to
 * wait. So each pass of --follow begins some seconds before the newest event, and skips the events that it has sent.
 */
#include <config.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/printable.h"
#include "base/signals.h"
#include "http/http.h"
#include "http/url.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define BATCH 100
#define TIMEOUT_MS 30000L
#define OVERLAP_MS 10000 /* how long before the newest event the next pass begins */
#define PAUSE_MS 1000    /* between two passes, and before an event is sent again */
#define SENT_IDS 65536   /* how many ids of sent events are remembered */
#define ID_BYTES 40

struct forward_options {
    const char *to, *module, *type;
    int64_t since_ms; /* -1: not given */
    bool follow;
};

struct forward {
    const char *verb;
    const struct forward_options *options;
    struct store *store;
    struct http *http;     /* not http_send, whose wait for an answer a signal does not end */
    int64_t newest_ms;     /* when the newest event was received */
    char (*ids)[ID_BYTES]; /* a ring of the ids of sent events */
    size_t id_count;       /* ever written to the ring */
    void *tree;            /* the ids of the ring, for tfind */
    unsigned long sent, good;
    bool no_answer; /* it was said that the server does not answer */
};

/* ---- options ---- */

/* Returns the milliseconds of 30s, 5m, 1h or 2d; -1 when TEXT is not like these. */
static int64_t parse_duration(const char *text)
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

static const struct argp_option forward_option_table[] = {
    {.name = "to", .key = 't', .arg = "URL", .doc = "POST to this URL: http://localhost:3000/webhook"},
    {.name = "since", .key = 's', .arg = "TIME", .doc = "Send the events of the last 30s, 5m, 1h, 2d"},
    {.name = "type", .key = 'y', .arg = "TYPE", .doc = "Only events of this type: product.created, or product.*"},
    {.name = "module", .key = 'm', .arg = "MODULE", .doc = "Only events of this module"},
    {.name = "follow", .key = 'f', .doc = "Send new events as they come, until Ctrl-C"},
    {0},
};

static error_t parse_forward_option(int key, char *text, struct argp_state *state)
{
    struct forward_options *options = state->input;

    if (key == 't')
        options->to = text;
    else if (key == 'y')
        options->type = text;
    else if (key == 'm')
        options->module = text;
    else if (key == 'f')
        options->follow = true;
    else if (key == 's' && (options->since_ms = parse_duration(text)) < 0)
        argp_error(state, "--since takes a time such as 30s, 5m, 1h or 2d, not %s", text);
    else if (key == 's')
        return 0;
    else if (key == ARGP_KEY_END && options->to == NULL)
        argp_error(state, "--to is missing: give --to http://localhost:3000/webhook");
    else if (key == ARGP_KEY_END && options->since_ms < 0 && !options->follow)
        argp_error(state, "give --since 1h for events of the last hour, --follow for new ones, or both");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp forward_argp = {
    .options = forward_option_table,
    .parser = parse_forward_option,
    .doc = "POSTs recorded events to a server, as canD would, and prints its answers.\v"
           "The events come from the database, in the order in which they were received. Handlers do not run, and no "
           "outcome is recorded. With --follow, an event that the server does not answer is sent again until it is "
           "answered.\n"
           "Exit status: 0 when every answer was 2xx; 1 when one was not; 69 when there was no answer or no database.",
};

/* Returns the milliseconds of a time as the database prints it, 2026-11-23T20:15:00.123Z; 0 for anything else. */
static int64_t parse_received_at(const char *text)
{
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);

    return rest != NULL ? (int64_t)timegm(&utc) * 1000 + (*rest == '.' ? atoi(rest + 1) : 0) : 0;
}

/* ---- the events that were sent ---- */

static int compare_event_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool was_event_sent(const struct forward *forward, const char *id)
{
    return tfind(id, &forward->tree, compare_event_ids) != NULL;
}

/* Remembers the id of a sent event, and forgets the oldest id when the ring is full. */
static void remember_event(struct forward *forward, const char *id)
{
    char *room = forward->ids[forward->id_count++ % SENT_IDS];

    if (*room != '\0')
        tdelete(room, &forward->tree, compare_event_ids);
    snprintf(room, ID_BYTES, "%s", id);
    if (tsearch(room, &forward->tree, compare_event_ids) == NULL)
        abort();
}

/* For tdestroy: the tree's nodes point into the ring, which is freed whole. */
static void free_no_id(void *id)
{
    (void)id;
}

/* ---- one event ---- */

/* Returns JSON without the blanks that the database writes between its parts, allocated. canD sends none. */
static char *compact_json(const char *json)
{
    char *text = memory_new(strlen(json) + 1, 1), *to = text;
    bool quoted = false;

    for (; *json != '\0'; json++) {
        if (quoted && *json == '\\')
            *to++ = *json++;
        else if (*json == '"')
            quoted = !quoted;
        if (quoted || *json != ' ')
            *to++ = *json;
    }
    return text;
}

static void print_event_name(const char *name)
{
    for (; *name != '\0'; name++)
        putchar(printable_in_line(*name));
}

static void print_forwarded(const struct store_event *event, const struct http_answer *answer)
{
    printf("%s  ", event->received_at);
    print_event_name(event->module);
    putchar(':');
    print_event_name(event->type);
    printf("  %s  %d%s%s  %.0f ms\n", event->id, answer->status, *answer->reason != '\0' ? " " : "", answer->reason,
           answer->seconds * 1000);
    fflush(stdout);
}

/* Says that the server does not answer: once, until it answers again. */
static void report_no_answer(struct forward *forward, const struct err *err)
{
    if (!forward->no_answer)
        fprintf(stderr, "%s: %s%s\n", forward->verb, err->text,
                forward->options->follow ? "; the event is sent again until it is answered" : "");
    forward->no_answer = true;
}

/* POSTs BODY and waits for the answer. Returns RESULT_RETRY without a description when the program is told to end. */
static enum result post_event(struct forward *forward, const char *body, struct http_answer *answer, struct err *err)
{
    const struct http_request request = {.method = "POST",
                                         .url = forward->options->to,
                                         .headers = {"Content-Type: application/json"},
                                         .body = body,
                                         .body_length = strlen(body),
                                         .timeout_ms = TIMEOUT_MS,
                                         .status_only = true};
    enum result result = http_start(forward->http, &request, forward, err);

    while (result == RESULT_OK && !signals_stop_asked()) {
        if (http_next(forward->http, &result, answer, err) != NULL)
            return result;
        http_wait(forward->http, NULL, 0, -1);
    }
    http_stop(forward->http, forward);
    return RESULT_RETRY;
}

/* Sends an event; with --follow until it is answered or the program is told to end. Returns the exit status. */
static int forward_event(struct forward *forward, const struct store_event *event)
{
    char *body = compact_json(event->body);
    struct http_answer answer;
    struct err err;
    enum result result;

    while ((result = post_event(forward, body, &answer, &err)) == RESULT_RETRY && !signals_stop_asked()) {
        report_no_answer(forward, &err);
        if (!forward->options->follow)
            break;
        signals_poll(NULL, 0, PAUSE_MS);
    }
    free(body);
    if (result != RESULT_OK)
        return signals_stop_asked() ? EX_OK : EX_UNAVAILABLE;
    forward->no_answer = false;
    forward->sent++;
    forward->good += answer.status >= 200 && answer.status <= 299;
    print_forwarded(event, &answer);
    http_answer_free(&answer);
    remember_event(forward, event->id);
    return EX_OK;
}

/* ---- many events ---- */

/* Sends the events of a page that were not sent before. Returns the exit status. */
static int forward_page(struct forward *forward, const struct store_page *page)
{
    int status = EX_OK;

    for (size_t i = 0; i < page->count && status == EX_OK && !signals_stop_asked(); i++) {
        int64_t received_ms = parse_received_at(page->events[i].received_at);

        if (received_ms > forward->newest_ms)
            forward->newest_ms = received_ms;
        if (!was_event_sent(forward, page->events[i].id))
            status = forward_event(forward, &page->events[i]);
        signals_poll(NULL, 0, 0); /* lets a signal in */
    }
    return status;
}

/*
 * Sends the events received from FROM_MS on, page by page. *RESULT is the database's: RESULT_OK, or a failure with its
 * description in ERR. Returns the exit status as far as the server is concerned.
 */
static int forward_pass(struct forward *forward, int64_t from_ms, enum result *result, struct err *err)
{
    const struct forward_options *options = forward->options;
    char after[CLOCK_TEXT_BYTES], after_id[ID_BYTES];
    struct store_event_query query = {.after = after, .module = options->module, .type = options->type, .batch = BATCH};
    size_t count = BATCH;
    int status = EX_OK;

    clock_text(from_ms, after);
    while (count == BATCH && status == EX_OK && !signals_stop_asked()) {
        struct store_page page;

        *result = store_connect(forward->store, true, err);
        if (*result == RESULT_OK)
            *result = store_events(forward->store, &query, &page, err);
        if (*result != RESULT_OK)
            return EX_OK;
        count = page.count;
        status = forward_page(forward, &page);
        if (count > 0) {
            snprintf(after, sizeof after, "%s", page.events[count - 1].received_at);
            snprintf(after_id, sizeof after_id, "%s", page.events[count - 1].id);
            query.after_id = after_id;
        }
        store_free_page(&page);
    }
    return status;
}

/* Makes one pass; with --follow pass after pass until the program is told to end. Returns the exit status. */
static int forward_events(struct forward *forward)
{
    const struct forward_options *options = forward->options;
    int64_t start_ms = clock_real_ms() - (options->since_ms >= 0 ? options->since_ms : 0);
    bool database_lost = false;
    int status = EX_OK;

    forward->newest_ms = start_ms;
    while (status == EX_OK && !signals_stop_asked()) {
        int64_t from_ms = forward->newest_ms - OVERLAP_MS;
        enum result result = RESULT_OK;
        struct err err;

        status = forward_pass(forward, from_ms > start_ms ? from_ms : start_ms, &result, &err);
        if (result != RESULT_OK && (!options->follow || result == RESULT_FAIL))
            return verb_fail(forward->verb, result, &err);
        if (result != RESULT_OK && !database_lost)
            fprintf(stderr, "%s: %s; waiting for the database\n", forward->verb, err.text);
        database_lost = result != RESULT_OK;
        if (!options->follow)
            break;
        signals_poll(NULL, 0, PAUSE_MS);
    }
    fprintf(stderr, "%s: %lu of %lu events were answered with 2xx\n", forward->verb, forward->good, forward->sent);
    return status != EX_OK ? status : forward->good == forward->sent ? EX_OK : 1;
}

int verb_forward(int argc, char **argv)
{
    struct forward_options options = {.since_ms = -1};
    struct forward forward = {.verb = argv[0], .options = &options};
    struct conf *conf;
    struct err err;
    char *server;
    int status;

    argp_parse(&forward_argp, argc, argv, 0, NULL, &options);
    if (url_server(options.to, &server, &err) != RESULT_OK)
        return verb_fail_with(argv[0], EX_USAGE, &err);
    free(server);
    status = verb_begin_store(argv[0], true, &conf, &forward.store);
    if (status != EX_OK)
        return status;
    if (!url_is_local(options.to))
        fprintf(stderr, "%s: note: the events leave this machine\n", argv[0]);
    signals_catch();
    forward.http = http_new();
    forward.ids = memory_new(SENT_IDS, sizeof *forward.ids);
    status = forward_events(&forward);
    tdestroy(forward.tree, free_no_id);
    free(forward.ids);
    http_free(forward.http);
    store_free(forward.store);
    conf_free(conf);
    return status;
}
