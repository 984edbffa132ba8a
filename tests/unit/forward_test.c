/*
 * SPDX-License-Identifier: ISC
 *
 * candhook forward --follow with more events than it remembers: none of the newest is sent twice, and of the oldest one
 * is forgotten for each that comes. The linker puts a database and a server that take no time in the place of real
 * ones.
 */
#include <config.h>

#include "base/memory.h"
#include "base/signals.h"
#include "http/http.h"
#include "store/store.h"
#include "tool/verb.h"

#include <stdbool.h>

#include "conf_rig.h"

#define REMEMBERED 65536 /* as many ids as candhook forward remembers */
#define EVENTS (REMEMBERED + 1000)

/* Which events each pass finds: from FIRST to before END. The program is told to end in the last one. */
static const struct {
    unsigned first, end;
} passes[] = {{0, EVENTS}, {EVENTS - 250, EVENTS + 1}, {1001, 1150}, {0, 1}, {0, 0}};

static size_t pass_count;
static unsigned next_event;
static unsigned sent[EVENTS + 1]; /* how often */
static void *running;

/* ---- the database ---- */

enum result __wrap_store_connect(struct store *store, bool check_version, struct err *err);
enum result __wrap_store_events(struct store *store, const struct store_event_query *query, struct store_page *page,
                                struct err *err);
void __wrap_store_free_page(struct store_page *page);

enum result __wrap_store_connect(struct store *store, bool check_version, struct err *err)
{
    (void)store;
    (void)check_version;
    (void)err;
    return RESULT_OK;
}

enum result __wrap_store_events(struct store *store, const struct store_event_query *query, struct store_page *page,
                                struct err *err)
{
    static struct store_event events[100];
    static char ids[100][40], bodies[100][16];

    (void)store;
    (void)err;
    if (query->after_id == NULL)
        next_event = passes[pass_count++].first;
    *page = (struct store_page){.events = events};
    while (page->count < 100 && next_event < passes[pass_count - 1].end) {
        size_t i = page->count++;

        snprintf(ids[i], sizeof ids[i], "019ab1c2-d3e4-7000-8000-%012u", next_event);
        snprintf(bodies[i], sizeof bodies[i], "%u", next_event++);
        events[i] = (struct store_event){ids[i], "2026-11-23T20:15:00.123Z", "MOIM", "product.created", bodies[i]};
    }
    return RESULT_OK;
}

void __wrap_store_free_page(struct store_page *page)
{
    (void)page;
}

/* ---- the server ---- */

enum result __wrap_http_start(struct http *http, const struct http_request *request, void *context, struct err *err);
void *__wrap_http_next(struct http *http, enum result *result, struct http_answer *answer, struct err *err);

enum result __wrap_http_start(struct http *http, const struct http_request *request, void *context, struct err *err)
{
    (void)http;
    (void)err;
    sent[strtoul(request->body, NULL, 10)]++;
    running = context;
    return RESULT_OK;
}

void *__wrap_http_next(struct http *http, enum result *result, struct http_answer *answer, struct err *err)
{
    (void)http;
    (void)err;
    *result = RESULT_OK;
    *answer = (struct http_answer){.status = 200, .reason = memory_copy_text("OK"), .body = memory_copy_text("")};
    return running;
}

/* ---- Ctrl-C in the last pass, and no pauses ---- */

int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
bool __wrap_signals_stop_asked(void);

int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    (void)timeout_ms;
    return 0;
}

bool __wrap_signals_stop_asked(void)
{
    return pass_count == sizeof passes / sizeof *passes;
}

/* Runs candhook forward --follow, whose lines nobody wants to see. Returns the exit status. */
static int run_forward(void)
{
    char verb[] = "candhook forward", to[] = "--to=http://127.0.0.1:1/", follow[] = "--follow";
    char *argv[] = {verb, to, follow, NULL};
    FILE *stdout_before = stdout, *stderr_before = stderr;
    int status;

    stdout = stderr = fopen("/dev/null", "w");
    must(stdout != NULL, "/dev/null");
    status = verb_forward(3, argv);
    fclose(stdout);
    stdout = stdout_before;
    stderr = stderr_before;
    return status;
}

static bool were_sent(unsigned first, unsigned end, unsigned times)
{
    for (unsigned i = first; i < end; i++)
        if (sent[i] != times)
            return printf("# event %u was sent %u times\n", i, sent[i]) < 0;
    return true;
}

int main(void)
{
    conf_rig_begin();
    write_text(BASE);
    ok(run_forward() == 0, "it ends well");
    ok(were_sent(1, EVENTS, 1), "each event is sent once, though the newest come again, and older ones");
    ok(were_sent(EVENTS, EVENTS + 1, 1), "as is a new one");
    ok(were_sent(0, 1, 2), "the oldest was forgotten");
    return conf_rig_end();
}
