/*
 * SPDX-License-Identifier: ISC
 *
 * The child of a batch loads the shared object anew (so a replaced file counts at once), calls the handler for one
 * delivery after the other, and writes an answer to a pipe after each: `struct answer`, then the detail's bytes. The
 * parent knows by the next answer's absence which call crashed or hangs; it kills the child's whole process group, and
 * goes on behind that delivery with a new child.
 */
#include <config.h>

#include "native.h"

#include "clock.h"
#include "event.h"
#include "signals.h"

#include <candhook/handler.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DETAIL_BYTES 4000
#define TICK_MS 4000
#define DEFAULT_FUNCTION "candhook_handle"

struct answer {
    int result; /* enum candhook_result; other values count as CANDHOOK_FAILED */
    unsigned detail_length;
};

/* What the functions that we hand to a handler work on; `call` is what the handler sees of it. */
struct call_state {
    struct candhook_call call; /* first: the handler's pointer is a pointer to this structure */
    char detail[DETAIL_BYTES + 1];
    char **values; /* handed out by `payload`, freed after the call */
    size_t value_count;
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

static const char *give_payload(const struct candhook_call *call, const char *path)
{
    struct call_state *state = state_of(call);
    char *value = event_value(call->payload, path);

    if (value == NULL)
        return NULL;
    state->values = realloc(state->values, (state->value_count + 1) * sizeof *state->values);
    if (state->values == NULL)
        abort();
    state->values[state->value_count++] = value;
    return value;
}

static const struct candhook_functions functions = {sizeof functions, give_answer, give_payload};

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

static void send_answer(int fd, int result, const char *detail)
{
    struct answer answer = {.result = result, .detail_length = (unsigned)strlen(detail)};

    write_all(fd, &answer, sizeof answer);
    write_all(fd, detail, answer.detail_length);
}

/* Whether the file may run with our rights: nobody else could have written it. */
static int is_trusted(const char *path, struct err *err)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        err_set_errno(err, "cannot load %s", path);
        return 0;
    }
    if (!S_ISREG(status.st_mode) || (status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & 022) != 0) {
        err_set(err,
                "refused to load %s: it must be a regular file of this user's or root's that only its owner may write",
                path);
        return 0;
    }
    return 1;
}

/* Finds the function of a target "file.so:function". */
static candhook_handler *load(const char *handler_dir, const char *target, struct err *err)
{
    char path[4096];
    const char *colon = strchr(target, ':');
    const char *name = colon != NULL ? colon + 1 : DEFAULT_FUNCTION;
    int file_length = colon != NULL ? (int)(colon - target) : (int)strlen(target);
    void *object;
    candhook_handler *handler = NULL;

    if (memchr(target, '/', (size_t)file_length) != NULL || *target == '.') {
        err_set(err, "the target %s leaves handler_dir", target);
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%.*s", handler_dir, file_length, target);
    if (!is_trusted(path, err))
        return NULL;
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object != NULL)
        *(void **)&handler = dlsym(object, name);
    if (handler == NULL)
        err_set(err, "%s", dlerror());
    return handler;
}

static void call_handler(candhook_handler *handler, const struct store_lease *lease,
                         const struct store_delivery *delivery, int fd)
{
    struct call_state *state = calloc(1, sizeof *state);
    int result;

    if (state == NULL)
        abort();
    state->call = (struct candhook_call){
        .size = sizeof state->call,
        .functions = &functions,
        .handler = lease->handler,
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
    send_answer(fd, result, state->detail);
    for (size_t i = 0; i < state->value_count; i++)
        free(state->values[i]);
    free(state->values);
    free(state);
}

/* The child's life: nothing of ours but the pipe, as descriptor 3; what the handler prints goes to our stderr. */
static void run_child(const char *handler_dir, const struct store_lease *lease, size_t first, int pipe_end)
{
    candhook_handler *handler;
    struct err err;

    setpgid(0, 0);
    signals_reset();
    dup2(2, 1);
    if (pipe_end != 3)
        dup2(pipe_end, 3);
    close_range(4, ~0U, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    handler = load(handler_dir, lease->target, &err);
    for (size_t i = first; i < lease->count; i++) {
        if (handler != NULL)
            call_handler(handler, lease, &lease->deliveries[i], 3);
        else
            send_answer(3, CANDHOOK_RETRY, err.text);
    }
    _exit(0);
}

/* ---- in the parent ---- */

struct host {
    pid_t child;        /* 0: none */
    int answers;        /* our end of its pipe, non-blocking */
    uint64_t next_tick; /* monotonic ms */
    native_tick_fn *tick;
    void *context;
};

/* Returns 0, or -1 with errno when there are no more processes or descriptors to be had. */
static int host_start(struct host *host, const char *handler_dir, const struct store_lease *lease, size_t first)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    host->child = fork();
    if (host->child < 0) {
        host->child = 0;
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (host->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        run_child(handler_dir, lease, first, ends[1]);
    }
    setpgid(host->child, host->child); /* both sides do: whoever comes first */
    close(ends[1]);
    host->answers = ends[0];
    fcntl(host->answers, F_SETFL, O_NONBLOCK);
    return 0;
}

/* Ends the child's process group and tells how the child ended. */
static int host_end(struct host *host)
{
    int status = 0;

    kill(-host->child, SIGKILL);
    while (waitpid(host->child, &status, 0) < 0 && errno == EINTR)
        ;
    close(host->answers);
    host->child = 0;
    return status;
}

/* Waits until the pipe can be read, the next tick or the deadline; ticks when it is time. */
static void host_wait(struct host *host, uint64_t deadline)
{
    struct pollfd fd = {.fd = host->answers, .events = POLLIN};
    uint64_t now = (uint64_t)clock_monotonic_ms();
    uint64_t until;

    if (now >= host->next_tick) {
        host->tick(host->context);
        host->next_tick = now + TICK_MS;
    }
    until = deadline < host->next_tick ? deadline : host->next_tick;
    poll(&fd, 1, until > now ? (int)(until - now) : 0);
}

/* Reads LENGTH bytes until DEADLINE (monotonic ms). 1 when read, 0 at the deadline, -1 when the child is gone. */
static int read_until(struct host *host, void *bytes, size_t length, uint64_t deadline)
{
    char *at = bytes;

    while (length > 0) {
        ssize_t got;

        if ((uint64_t)clock_monotonic_ms() >= deadline)
            return 0;
        host_wait(host, deadline);
        got = read(host->answers, at, length);
        if (got == 0)
            return -1;
        if (got > 0) {
            at += got;
            length -= (size_t)got;
        }
    }
    return 1;
}

/* Puts [token] for each place where the detail (freed) shows the token that the handler was given. */
static char *without_token(char *detail, const char *token)
{
    const char *at = detail, *place;
    char *masked;
    size_t size;
    FILE *to;

    if (token == NULL || *token == '\0' || strstr(detail, token) == NULL)
        return detail;
    to = open_memstream(&masked, &size);
    if (to == NULL)
        abort();
    for (; (place = strstr(at, token)) != NULL; at = place + strlen(token))
        fprintf(to, "%.*s[token]", (int)(place - at), at);
    fputs(at, to);
    if (fclose(to) != 0)
        abort();
    free(detail);
    return masked;
}

/* Reads one answer into OUTCOME, the token masked. As read_until; an answer that makes no sense counts as the child's
 * end. */
static int read_answer(struct host *host, const char *token, struct store_outcome *outcome, uint64_t deadline)
{
    struct answer answer;
    char *detail;
    int got = read_until(host, &answer, sizeof answer, deadline);

    if (got != 1)
        return got;
    if (answer.detail_length > DETAIL_BYTES)
        return -1;
    detail = calloc(1, answer.detail_length + 1);
    if (detail == NULL)
        abort();
    got = read_until(host, detail, answer.detail_length, deadline);
    if (got != 1) {
        free(detail);
        return got;
    }
    outcome->result = answer.result == CANDHOOK_OK ? "ok" : answer.result == CANDHOOK_RETRY ? "retry" : "failed";
    outcome->detail = without_token(detail, token);
    return 1;
}

__attribute__((format(printf, 2, 3))) static void lose(struct store_outcome *outcome, const char *format, ...)
{
    char *detail;
    va_list args;

    va_start(args, format);
    if (vasprintf(&detail, format, args) < 0)
        abort();
    va_end(args);
    outcome->result = "retry";
    outcome->detail = detail;
}

static void say_end(struct store_outcome *outcome, int status)
{
    if (WIFSIGNALED(status))
        lose(outcome, "the handler crashed: signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        lose(outcome, "the handler ended its process with exit status %d", WEXITSTATUS(status));
}

/* Runs the delivery INDEX, in the child that there is or a new one. Returns 0, or -1 with errno when there can be none.
 */
static int run_one(struct host *host, const char *handler_dir, const struct store_lease *lease, size_t index,
                   struct store_outcome *outcome)
{
    uint64_t deadline;
    int got, status;

    outcome->event_id = lease->deliveries[index].event_id;
    outcome->started_ms = (uint64_t)clock_real_ms();
    if (host->child == 0 && host_start(host, handler_dir, lease, index) != 0)
        return -1;
    deadline = (uint64_t)clock_monotonic_ms() + (uint64_t)lease->timeout_ms;
    got = read_answer(host, lease->deliveries[index].bot_token, outcome, deadline);
    if (got != 1) {
        status = host_end(host);
        if (got == 0)
            lose(outcome, "the handler ran past its timeout of %d ms", lease->timeout_ms);
        else
            say_end(outcome, status);
    }
    outcome->finished_ms = (uint64_t)clock_real_ms();
    return 0;
}

size_t native_run(const char *handler_dir, const struct store_lease *lease, struct store_outcome *outcomes,
                  native_tick_fn *tick, void *context, struct err *err)
{
    struct host host = {.next_tick = (uint64_t)clock_monotonic_ms() + TICK_MS, .tick = tick, .context = context};
    size_t done;

    err->text[0] = '\0';
    for (done = 0; done < lease->count; done++) {
        signals_poll(NULL, 0, 0); /* lets a signal in */
        if (signals_stop_asked())
            break;
        if (run_one(&host, handler_dir, lease, done, &outcomes[done]) != 0) {
            err_set_errno(err, "cannot start a process for a handler");
            break;
        }
    }
    if (host.child != 0)
        host_end(&host);
    return done;
}

void native_free_details(struct store_outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)outcomes[i].detail);
}
