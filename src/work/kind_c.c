/*
 * SPDX-License-Identifier: ISC
 *
 * The child process loads the shared object anew, so that a replaced file is used from the next batch on. It calls the
 * handler for one delivery after the other, and writes an answer to its pipe after each call: `struct c_answer`, then
 * the detail's bytes. So the parent knows which call crashed or hangs: the first one without an answer.
 *
 * Before each call the child takes a turn, in memory that both share. The parent can take all turns that are left: then
 * it knows exactly which calls were begun, and no other will be. Turns also end by themselves, with the lease, lest the
 * child goes on under a lease that its parent (stopped, perhaps) has lost.
 */
#include <config.h>

#include "work/kind_c.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/std_fds.h"
#include "event/event.h"
#include "http/api.h"
#include "work/child.h"

#include <candhook/handler.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_FUNCTION "candhook_handle"
#define PIPE_FD 3 /* in the child */

struct c_answer {
    int result; /* enum candhook_result; other values count as CANDHOOK_FAILED */
    bool token_refused;
    unsigned detail_length;
};

/* What parent and child share. */
struct c_turns {
    _Atomic size_t begun;  /* how many calls were; TURNS_TAKEN: no other will be */
    _Atomic int64_t until; /* monotonic ms: none begins later */
};

#define TURNS_TAKEN SIZE_MAX

/* One call of a handler, with what our functions need when the handler calls them. */
struct call_state {
    struct candhook_call call; /* what the handler sees; first, so that its address is that of this structure */
    const struct conf *conf;
    long timeout_ms;
    struct http *http; /* made at the first call of the API */
    bool token_refused;
    char detail[ATTEMPT_DETAIL_BYTES + 1];
    void **given; /* what the handler got from our functions, freed after the call */
    size_t given_count;
};

struct c_process {
    struct child child;
    struct c_turns *turns;
    struct attempt *attempts;
    size_t count, current; /* the current one has begun, or is about to */
    size_t length;         /* of what was read of its answer */
    char text[sizeof(struct c_answer) + ATTEMPT_DETAIL_BYTES];
};

/* ---- in the child ---- */

static struct call_state *call_state_of(const struct candhook_call *call)
{
    return (struct call_state *)(uintptr_t)call;
}

__attribute__((format(printf, 3, 4))) static enum candhook_result
give_answer(const struct candhook_call *call, enum candhook_result result, const char *format, ...)
{
    struct call_state *state = call_state_of(call);
    va_list args;

    va_start(args, format);
    vsnprintf(state->detail, sizeof state->detail, format, args);
    va_end(args);
    return result;
}

/* Returns MEMORY (taken over), which is freed after the call. */
static void *give_memory(struct call_state *state, void *memory)
{
    state->given = memory_resize(state->given, state->given_count + 1, sizeof *state->given);
    return state->given[state->given_count++] = memory;
}

static const char *give_value(const struct candhook_call *call, const char *json, const char *path)
{
    return json != NULL ? give_memory(call_state_of(call), event_value(json, path)) : NULL;
}

static const char *give_payload(const struct candhook_call *call, const char *path)
{
    return give_value(call, call->payload, path);
}

static const struct candhook_response *set_error(struct call_state *state, struct candhook_response *response,
                                                 const char *error)
{
    response->error = give_memory(state, memory_copy_text(error));
    return response;
}

static const struct candhook_response *give_response(const struct candhook_call *call,
                                                     const struct candhook_request *request)
{
    struct call_state *state = call_state_of(call);
    struct candhook_response *response = give_memory(state, memory_new(1, sizeof *response));
    const struct api_request api_request = {
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

    *response = (struct candhook_response){.size = sizeof *response, .body = ""};
    if (call->bot_token == NULL)
        return set_error(state, response, "the handler has no bot token: set needs_token");
    if (state->http == NULL)
        state->http = http_new();
    if (api_call(state->http, state->conf->api_url, &api_request, &answer, &err) != RESULT_OK)
        return set_error(state, response, err.text);
    response->status = answer.status;
    response->retry_after = answer.retry_after;
    response->body = give_memory(state, answer.body);
    give_memory(state, answer.reason);
    if (answer.cut)
        response->error = "the answer is too large";
    else if (answer.status < 200 || answer.status > 299)
        response->error = give_memory(state, memory_format("HTTP %d %s", answer.status, answer.reason));
    if (answer.status == 401)
        state->token_refused = true;
    return response;
}

static const struct candhook_functions functions = {sizeof functions, give_answer, give_payload, give_value,
                                                    give_response};

static void report_answer(int result, bool token_refused, const char *detail)
{
    struct c_answer answer = {
        .result = result, .token_refused = token_refused, .detail_length = (unsigned)strlen(detail)};

    if (!io_write_all(PIPE_FD, &answer, sizeof answer) || !io_write_all(PIPE_FD, detail, answer.detail_length))
        _exit(0); /* the parent is gone */
}

/* Loads the function of a target "file.so:function". Returns NULL with the reason in ERR. */
static candhook_handler *load_handler(const char *handler_dir, const char *target, struct err *err)
{
    const char *colon = strchr(target, ':');
    char *file = memory_copy_bytes(target, colon != NULL ? (size_t)(colon - target) : strlen(target)), *path;
    candhook_handler *handler = NULL;
    void *object;

    if (child_find(handler_dir, file, &path, err) == RESULT_OK) {
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
                         struct http **http)
{
    const struct store_delivery *delivery = attempt->delivery;
    struct call_state *state = memory_new(1, sizeof *state);
    int result;

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
    report_answer(result, state->token_refused, state->detail);
    *http = state->http; /* the next call uses its connection again */
    for (size_t i = 0; i < state->given_count; i++)
        free(state->given[i]);
    free(state->given);
    free(state);
}

/* Takes the turn of call INDEX. Returns whether it may begin. */
static bool take_turn(struct c_turns *turns, size_t index)
{
    size_t begun = index;

    return clock_monotonic_ms() < atomic_load(&turns->until) &&
           atomic_compare_exchange_strong(&turns->begun, &begun, index + 1);
}

/* What the child does. It has no descriptor of ours but the pipe; what the handler prints goes to our stderr. */
static void run_handlers(const struct c_process *process, const struct conf *conf, int pipe)
{
    const struct attempt *attempts = process->attempts;
    candhook_handler *handler;
    struct http *http = NULL;
    struct err err;

    dup2(2, 1);
    if (pipe != PIPE_FD)
        dup2(pipe, PIPE_FD);
    std_fds_close_others(PIPE_FD + 1);
    fcntl(PIPE_FD, F_SETFD, FD_CLOEXEC);
    handler = load_handler(conf->handler_dir, attempts[0].lease->target, &err);
    for (size_t i = 0; i < process->count && (i == 0 || take_turn(process->turns, i)); i++) {
        if (handler != NULL)
            call_handler(handler, &attempts[i], conf, &http);
        else
            report_answer(CANDHOOK_RETRY, false, err.text);
    }
    _exit(0);
}

/* ---- in the parent ---- */

enum answer_state {
    ANSWER_WHOLE,
    ANSWER_PARTIAL, /* the rest may come */
    ANSWER_LOST     /* the process has closed its pipe or written nonsense */
};

static struct c_turns *new_turns(int64_t until)
{
    struct c_turns *turns = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (turns == MAP_FAILED)
        abort(); /* no memory */
    atomic_init(&turns->begun, 1);
    atomic_init(&turns->until, until);
    return turns;
}

static void free_c_process(struct c_process *process)
{
    munmap(process->turns, sizeof *process->turns);
    free(process);
}

struct c_process *kind_c_start(struct attempt *attempts, size_t count, int64_t until, const struct conf *conf,
                               struct err *err)
{
    struct c_process *process = memory_new(1, sizeof *process);
    int pipe;

    process->attempts = attempts;
    process->count = count;
    process->turns = new_turns(until);
    if (child_fork(&process->child, &pipe) == 0)
        run_handlers(process, conf, pipe);
    if (process->child.pid > 0) {
        attempt_begin(&attempts[0]);
        return process;
    }
    err_set_errno(err, "cannot start a process");
    free_c_process(process);
    return NULL;
}

int kind_c_descriptor(const struct c_process *process)
{
    return process->child.output;
}

void kind_c_allow(struct c_process *process, int64_t until)
{
    atomic_store(&process->turns->until, until);
}

void kind_c_finish(struct c_process *process)
{
    size_t begun = atomic_exchange(&process->turns->begun, TURNS_TAKEN);

    if (begun >= process->count)
        return; /* all of them; or the turns were taken before */
    for (size_t i = process->current; i < process->count; i++) {
        if (i >= begun)
            process->attempts[i].state = ATTEMPT_WAITS;
        else if (i > process->current)
            attempt_begin(&process->attempts[i]);
    }
    process->count = begun;
}

/* Kills the process, frees it, and returns the status of waitpid. */
static int end_process(struct c_process *process)
{
    int status = child_kill(&process->child);

    child_close(&process->child);
    free_c_process(process);
    return status;
}

static struct c_answer get_answer(const struct c_process *process)
{
    struct c_answer answer;

    memcpy(&answer, process->text, sizeof answer);
    return answer;
}

/* Reads what has come of the current attempt's answer. */
static enum answer_state read_answer(struct c_process *process)
{
    for (;;) {
        size_t wanted = sizeof(struct c_answer);
        ssize_t got;

        if (process->length >= wanted)
            wanted += get_answer(process).detail_length;
        if (wanted > sizeof process->text)
            return ANSWER_LOST;
        if (process->length == wanted)
            return ANSWER_WHOLE;
        got = read(process->child.output, process->text + process->length, wanted - process->length);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR) ? ANSWER_PARTIAL : ANSWER_LOST;
        process->length += (size_t)got;
    }
}

/* Ends the current attempt by its answer. */
static void end_by_answer(struct c_process *process)
{
    struct attempt *attempt = &process->attempts[process->current];
    struct c_answer answer = get_answer(process);
    const char *result = answer.result == CANDHOOK_OK ? "ok" : answer.result == CANDHOOK_RETRY ? "retry" : "failed";
    char *detail = memory_copy_bytes(process->text + sizeof answer, answer.detail_length);

    process->length = 0;
    attempt->token_refused = answer.token_refused;
    attempt_end(attempt, result, detail);
}

/* Ends the current attempt by the way in which its process ended. */
static void end_by_status(struct attempt *attempt, int status)
{
    if (WIFSIGNALED(status))
        attempt_end_with(attempt, "retry", "the handler crashed: signal %d (%s)", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    else
        attempt_end_with(attempt, "retry", "the handler ended its process with exit status %d", WEXITSTATUS(status));
}

bool kind_c_step(struct c_process *process)
{
    struct attempt *attempt;
    enum answer_state state = ANSWER_WHOLE;

    while (process->current < process->count && (state = read_answer(process)) == ANSWER_WHOLE) {
        end_by_answer(process);
        if (++process->current < process->count)
            attempt_begin(&process->attempts[process->current]);
    }
    if (state == ANSWER_LOST)
        kind_c_finish(process); /* which tells whether the current one had begun */
    if (process->current >= process->count) {
        end_process(process);
        return false;
    }
    attempt = &process->attempts[process->current];
    if (state == ANSWER_PARTIAL && clock_monotonic_ms() < attempt->deadline)
        return true;
    if (state == ANSWER_PARTIAL) {
        attempt_end_with(attempt, "retry", "the handler ran past its timeout of %d ms", attempt->lease->timeout_ms);
        end_process(process);
    } else {
        end_by_status(attempt, end_process(process));
    }
    return false;
}

void kind_c_kill(struct c_process *process)
{
    end_process(process);
}
