/*
 * SPDX-License-Identifier: ISC
 *
 * The host loads the shared object anew (so a replaced file counts at once), calls the handler for one delivery after
 * the other, and writes an answer to its pipe after each: `struct answer`, then the detail's bytes. The parent knows by
 * the next answer's absence which call crashed or hangs.
 */
#include <config.h>

#include "work/kind_c.h"

#include "base/clock.h"
#include "event/event.h"
#include "http/api.h"
#include "work/child.h"

#include <candhook/handler.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DETAIL_BYTES 4000
#define ANSWER_BYTES (8 * 1024 * 1024) /* of the canD API's */
#define DEFAULT_FUNCTION "candhook_handle"

struct answer {
    int result; /* enum candhook_result; other values count as CANDHOOK_FAILED */
    int token_refused;
    unsigned detail_length;
};

/* What the functions that we hand to a handler work on; `call` is what the handler sees of it. */
struct call_state {
    struct candhook_call call; /* first: the handler's pointer is a pointer to this structure */
    const struct conf *conf;
    long timeout_ms;
    struct http *http; /* made at the first call of the API */
    int token_refused;
    char detail[DETAIL_BYTES + 1];
    void **given; /* handed out to the handler, freed after the call */
    size_t given_count;
};

/* ---- in the child ---- */

static struct call_state *state_of(const struct candhook_call *call)
{
    return (struct call_state *)(uintptr_t)call;
}

__attribute__((format(printf, 3, 4))) static enum candhook_result
give_answer(const struct candhook_call *call, enum candhook_result result, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(state_of(call)->detail, sizeof state_of(call)->detail, format, args);
    va_end(args);
    return result;
}

/* Keeps what the handler may use until it returns. */
static void *keep(struct call_state *state, void *memory)
{
    if (memory == NULL)
        return NULL;
    state->given = realloc(state->given, (state->given_count + 1) * sizeof *state->given);
    if (state->given == NULL)
        abort();
    return state->given[state->given_count++] = memory;
}

static const char *give_value(const struct candhook_call *call, const char *json, const char *path)
{
    return json != NULL ? keep(state_of(call), event_value(json, path)) : NULL;
}

static const char *give_payload(const struct candhook_call *call, const char *path)
{
    return give_value(call, call->payload, path);
}

static const struct candhook_response *explain(struct call_state *state, struct candhook_response *response,
                                               const char *error)
{
    response->error = keep(state, strdup(error));
    return response;
}

static const struct candhook_response *call_api(const struct candhook_call *call,
                                                const struct candhook_request *request)
{
    struct call_state *state = state_of(call);
    struct candhook_response *response = keep(state, calloc(1, sizeof *response));
    const struct api_request what = {
        .method = request->method,
        .path = request->path,
        .body = request->body,
        .community_id = request->community_id != NULL ? request->community_id : call->origin_community_id,
        .profile_id = request->profile_id,
        .bot_token = call->bot_token,
        .timeout_ms = state->timeout_ms,
    };
    struct http_answer answer;
    struct err err;

    if (response == NULL)
        abort();
    *response = (struct candhook_response){.size = sizeof *response, .body = ""};
    if (call->bot_token == NULL)
        return explain(state, response, "the handler has no bot token: set needs_token");
    if (state->http == NULL)
        state->http = http_new();
    if (api_call(state->http, state->conf->api_url, &what, &answer, &err) != RESULT_OK)
        return explain(state, response, err.text);
    response->status = answer.status;
    response->retry_after = answer.retry_after;
    response->body = keep(state, answer.body);
    if (answer.cut)
        return explain(state, response, "the answer is too large");
    if (answer.status < 200 || answer.status > 299) {
        snprintf(err.text, sizeof err.text, "HTTP %d %s", answer.status, answer.reason);
        explain(state, response, err.text);
    }
    if (answer.status == 401)
        state->token_refused = 1;
    return response;
}

static const struct candhook_functions functions = {sizeof functions, give_answer, give_payload, give_value, call_api};

static void write_all(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t put = write(fd, at, length);

        if (put < 0 && errno != EINTR)
            _exit(0); /* the parent is gone: nobody wants the answer */
        if (put > 0) {
            at += put;
            length -= (size_t)put;
        }
    }
}

static void send_answer(int fd, int result, int token_refused, const char *detail)
{
    struct answer answer = {result, token_refused, (unsigned)strlen(detail)};

    write_all(fd, &answer, sizeof answer);
    write_all(fd, detail, answer.detail_length);
}

/* Finds the function of a target "file.so:function". */
static candhook_handler *load(const char *handler_dir, const char *target, struct err *err)
{
    const char *colon = strchr(target, ':');
    char *file = colon != NULL ? strndup(target, (size_t)(colon - target)) : strdup(target), *path;
    candhook_handler *handler = NULL;
    void *object = NULL;

    if (file == NULL)
        abort();
    if (child_find(handler_dir, file, &path, err) == 0) {
        object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (object != NULL)
            *(void **)&handler = dlsym(object, colon != NULL ? colon + 1 : DEFAULT_FUNCTION);
        if (handler == NULL)
            err_set(err, "%s", dlerror());
    }
    free(path);
    free(file);
    return handler;
}

static void call_handler(candhook_handler *handler, const struct attempt *attempt, const struct conf *conf,
                         struct http **http, int fd)
{
    const struct store_delivery *delivery = attempt->delivery;
    struct call_state *state = calloc(1, sizeof *state);
    int result;

    if (state == NULL)
        abort();
    state->conf = conf;
    state->timeout_ms = attempt->lease->timeout_ms;
    state->http = *http;
    state->call = (struct candhook_call){
        .size = sizeof state->call,
        .functions = &functions,
        .handler = attempt->lease->handler,
        .attempt = delivery->attempt,
        .event_id = delivery->event_id,
        .received_at = delivery->received_at,
        .module = delivery->module,
        .type = delivery->type,
        .origin_community_id = delivery->origin_community_id,
        .user_id = delivery->user_id,
        .community_id = delivery->community_id,
        .profile_id = delivery->profile_id,
        .payload = delivery->payload,
        .body = delivery->body,
        .bot_token = delivery->bot_token,
    };
    result = (int)handler(&state->call);
    send_answer(fd, result, state->token_refused, state->detail);
    *http = state->http; /* its connection serves the next delivery, too */
    for (size_t i = 0; i < state->given_count; i++)
        free(state->given[i]);
    free(state->given);
    free(state);
}

/* The host's life: nothing of ours but the pipe, as descriptor 3; what the handler prints goes to our stderr. */
static void run_host(const struct attempt *attempts, size_t count, const struct conf *conf, int pipe)
{
    candhook_handler *handler;
    struct http *http = NULL;
    struct err err;

    dup2(2, 1);
    if (pipe != 3)
        dup2(pipe, 3);
    close_range(4, ~0U, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    handler = load(conf->handler_dir, attempts[0].lease->target, &err);
    for (size_t i = 0; i < count; i++) {
        if (handler != NULL)
            call_handler(handler, &attempts[i], conf, &http, 3);
        else
            send_answer(3, CANDHOOK_RETRY, 0, err.text);
    }
    _exit(0);
}

/* ---- in the parent ---- */

struct host {
    struct child child;
    struct attempt *attempts; /* those that it runs */
    size_t count, current;
    size_t length; /* of what has come of the current one's answer */
    char text[sizeof(struct answer) + DETAIL_BYTES];
};

struct host *kind_c_start(struct attempt *attempts, size_t count, const struct conf *conf)
{
    struct host *host = calloc(1, sizeof *host);
    int pipe;

    if (host == NULL)
        abort();
    host->attempts = attempts;
    host->count = count;
    attempt_begin(&attempts[0]);
    if (child_fork(&host->child, &pipe) == 0)
        run_host(attempts, count, conf, pipe);
    if (host->child.pid > 0)
        return host;
    attempt_end_with(&attempts[0], "retry", "cannot start a process: %s", strerror(errno));
    free(host);
    return NULL;
}

int kind_c_descriptor(const struct host *host)
{
    return host->child.output;
}

int64_t kind_c_deadline(const struct host *host)
{
    return host->attempts[host->current].deadline;
}

void kind_c_wind_up(struct host *host)
{
    host->count = host->current + 1;
}

/* Kills and frees the host. Returns how its process ended. */
static int end_host(struct host *host)
{
    int status = child_kill(&host->child);

    child_close(&host->child);
    free(host);
    return status;
}

static struct answer answer_of(const struct host *host)
{
    struct answer answer;

    memcpy(&answer, host->text, sizeof answer);
    return answer;
}

/* Reads what is there of one answer. 1 when it is whole, 0 when not yet, -1 when the host is gone or talks nonsense. */
static int read_answer(struct host *host)
{
    for (;;) {
        size_t wanted = sizeof(struct answer);
        ssize_t got;

        if (host->length >= wanted)
            wanted += answer_of(host).detail_length;
        if (wanted > sizeof host->text)
            return -1;
        if (host->length == wanted)
            return 1;
        got = read(host->child.output, host->text + host->length, wanted - host->length);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        host->length += (size_t)got;
    }
}

/* Ends the current attempt by its answer. */
static void take_answer(struct host *host)
{
    struct attempt *attempt = &host->attempts[host->current];
    struct answer answer = answer_of(host);
    const char *result = answer.result == CANDHOOK_OK ? "ok" : answer.result == CANDHOOK_RETRY ? "retry" : "failed";
    char *detail = strndup(host->text + sizeof answer, answer.detail_length);

    if (detail == NULL)
        abort();
    host->length = 0;
    attempt->token_refused = answer.token_refused;
    attempt_end(attempt, result, detail);
}

/* Ends the current attempt by the host's end. */
static void take_end(struct attempt *attempt, int status)
{
    if (WIFSIGNALED(status))
        attempt_end_with(attempt, "retry", "the handler crashed: signal %d (%s)", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    else
        attempt_end_with(attempt, "retry", "the handler ended its process with exit status %d", WEXITSTATUS(status));
}

int kind_c_go_on(struct host *host)
{
    struct attempt *attempt = &host->attempts[host->current];
    int got;

    while ((got = read_answer(host)) == 1) {
        take_answer(host);
        if (++host->current == host->count) {
            end_host(host);
            return 0;
        }
        attempt = &host->attempts[host->current];
        attempt_begin(attempt);
    }
    if (got == 0 && clock_monotonic_ms() < attempt->deadline)
        return 1;
    if (got == 0) {
        attempt_end_with(attempt, "retry", "the handler ran past its timeout of %d ms", attempt->lease->timeout_ms);
        end_host(host);
    } else {
        take_end(attempt, end_host(host));
    }
    return 0;
}

void kind_c_break_off(struct host *host)
{
    attempt_end_with(&host->attempts[host->current], "retry", "broken off: the worker was told to end");
    end_host(host);
}
