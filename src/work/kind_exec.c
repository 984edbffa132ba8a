/*
 * SPDX-License-Identifier: ISC
 *
 * Programs as handlers. The event lies in an unlinked file in memory that is the program's stdin, so nothing has to be
 * fed; stdout and stderr are one pipe. At its deadline the program's whole process group gets TERM, and KILL a little
 * later; what the program leaves running behind it is killed, too.
 */
#include <config.h>

#include "work/kind_exec.h"

#include "base/clock.h"
#include "base/err.h"
#include "work/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define LAST_WORDS_MS 2000                         /* from TERM to KILL */
#define OUTPUT_BYTES (ATTEMPT_DETAIL_BYTES + 1000) /* a token may shrink to [token] */
#define PATH_VALUE BINDIR ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define VARIABLES 16
#define READS 16 /* of output at a time: a chatty program must not hold up the others */

struct exec {
    struct child child;
    int terminated; /* TERM was sent: the deadline is KILL's now */
    size_t length;
    char output[OUTPUT_BYTES + 1];
};

/* ---- in the child ---- */

static void set_variable(char **variables, size_t *count, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (*count >= VARIABLES - 1 || asprintf(&variables[(*count)++], "%s=%s", name, value) < 0)
        abort();
}

static void set_variables(char **variables, const struct attempt *attempt, const struct conf *conf)
{
    const struct store_delivery *delivery = attempt->delivery;
    char number[16];
    size_t count = 0;

    snprintf(number, sizeof number, "%d", delivery->attempt);
    set_variable(variables, &count, "PATH", PATH_VALUE);
    set_variable(variables, &count, "CANDHOOK_CONF", conf->path);
    set_variable(variables, &count, "CANDHOOK_HANDLER", attempt->lease->handler);
    set_variable(variables, &count, "CANDHOOK_EVENT_ID", delivery->event_id);
    set_variable(variables, &count, "CANDHOOK_RECEIVED_AT", delivery->received_at);
    set_variable(variables, &count, "CANDHOOK_MODULE", delivery->module);
    set_variable(variables, &count, "CANDHOOK_TYPE", delivery->type);
    set_variable(variables, &count, "CANDHOOK_ATTEMPT", number);
    set_variable(variables, &count, "CANDHOOK_ORIGIN_COMMUNITY_ID", delivery->origin_community_id);
    set_variable(variables, &count, "CANDHOOK_COMMUNITY_ID", delivery->community_id);
    set_variable(variables, &count, "CANDHOOK_USER_ID", delivery->user_id);
    set_variable(variables, &count, "CANDHOOK_PROFILE_ID", delivery->profile_id);
    set_variable(variables, &count, "CANDHOOK_BOT_TOKEN", delivery->bot_token);
    variables[count] = NULL;
}

/* The child's life until it is the program. What goes wrong is told as the program's own words. */
static void run_program(const struct attempt *attempt, const struct conf *conf, const char *path, int input, int pipe)
{
    char *variables[VARIABLES];
    char *name = strdup(attempt->lease->target);
    char *const arguments[] = {name, NULL};

    if (name == NULL)
        abort();
    if (dup2(input, 0) < 0 || dup2(pipe, 1) < 0 || dup2(pipe, 2) < 0)
        _exit(EX_OSERR);
    close_range(3, ~0U, 0);
    if (chdir(conf->handler_dir) != 0)
        dprintf(2, "cannot enter %s: %s\n", conf->handler_dir, strerror(errno));
    set_variables(variables, attempt, conf);
    execve(path, arguments, variables);
    dprintf(2, "cannot run %s: %s\n", path, strerror(errno));
    _exit(EX_OSERR);
}

/* ---- in the parent ---- */

/* A file in memory that holds the event, to be read from its beginning; -1 with errno. */
static int make_input(const char *body)
{
    size_t length = strlen(body), done = 0;
    int fd = memfd_create("event", MFD_CLOEXEC);
    ssize_t put = 1;

    if (fd < 0)
        return -1;
    while (done < length && put > 0) {
        put = write(fd, body + done, length - done);
        done += put > 0 ? (size_t)put : 0;
    }
    if (done == length && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

void kind_exec_begin(struct attempt *attempt, const struct conf *conf)
{
    struct exec *exec = calloc(1, sizeof *exec);
    struct err err;
    char *path;
    int input, pipe;

    if (exec == NULL)
        abort();
    attempt_begin(attempt);
    if (child_find(conf->handler_dir, attempt->lease->target, &path, &err) != 0) {
        attempt_end_with(attempt, "retry", "%s", err.text);
        free(exec);
        return;
    }
    input = make_input(attempt->delivery->body);
    if (input >= 0 && child_fork(&exec->child, &pipe) == 0)
        run_program(attempt, conf, path, input, pipe);
    if (exec->child.pid > 0) {
        attempt->doing = exec;
    } else {
        attempt_end_with(attempt, "retry", "cannot start a process: %s", strerror(errno));
        free(exec);
    }
    if (input >= 0)
        close(input);
    free(path);
}

int kind_exec_descriptor(const struct attempt *attempt)
{
    return ((const struct exec *)attempt->doing)->child.output;
}

/* Reads what there is; beyond what is kept it is forgotten. */
static void read_output(struct exec *exec)
{
    char beyond[4096];
    ssize_t got = 1;

    if (exec->child.output < 0)
        return;
    for (int reads = 0; reads < READS && got > 0; reads++) {
        size_t room = OUTPUT_BYTES - exec->length;

        got = room > 0 ? read(exec->child.output, exec->output + exec->length, room)
                       : read(exec->child.output, beyond, sizeof beyond);
        if (got > 0 && room > 0)
            exec->length += (size_t)got;
    }
    if (got == 0)
        child_close(&exec->child); /* it closed its output and may go on all the same: its end is what counts */
}

/* The output as text: NUL bytes would hide what follows, white space at the end says nothing. */
static char *take_output(struct exec *exec)
{
    for (size_t i = 0; i < exec->length; i++)
        if (exec->output[i] == '\0')
            exec->output[i] = '?';
    while (exec->length > 0 && strchr(" \t\r\n", exec->output[exec->length - 1]) != NULL)
        exec->length--;
    exec->output[exec->length] = '\0';
    return exec->length > 0 ? strdup(exec->output) : NULL;
}

/* Ends the attempt by how the program ended. */
static void end(struct attempt *attempt, int status)
{
    struct exec *exec = attempt->doing;
    const char *output, *separator;
    char *taken;

    read_output(exec);
    taken = take_output(exec);
    output = taken != NULL ? taken : "";
    separator = taken != NULL ? ": " : "";
    if (exec->terminated)
        attempt_end_with(attempt, "retry", "the program ran past its timeout of %d ms%s%s", attempt->lease->timeout_ms,
                         separator, output);
    else if (WIFSIGNALED(status))
        attempt_end_with(attempt, "retry", "the program was ended by signal %d (%s)%s%s", WTERMSIG(status),
                         strsignal(WTERMSIG(status)), separator, output);
    else if (WEXITSTATUS(status) == EX_TEMPFAIL)
        attempt_end_with(attempt, "retry", "to be tried again%s%s", separator, output);
    else if (WEXITSTATUS(status) != 0)
        attempt_end_with(attempt, "retry", "exit status %d%s%s", WEXITSTATUS(status), separator, output);
    else
        attempt_end_with(attempt, "ok", "%s", output);
    free(taken);
    if (exec->child.output >= 0)
        child_close(&exec->child);
    free(exec);
    attempt->doing = NULL;
}

void kind_exec_go_on(struct attempt *attempt)
{
    struct exec *exec = attempt->doing;
    int status;

    read_output(exec);
    if (child_ended(&exec->child, &status)) {
        end(attempt, status);
    } else if (clock_monotonic_ms() >= attempt->deadline && !exec->terminated) {
        child_signal(&exec->child, SIGTERM);
        exec->terminated = 1;
        attempt->deadline = clock_monotonic_ms() + LAST_WORDS_MS;
    } else if (clock_monotonic_ms() >= attempt->deadline) {
        end(attempt, child_kill(&exec->child));
    }
}

void kind_exec_break_off(struct attempt *attempt)
{
    struct exec *exec = attempt->doing;

    child_kill(&exec->child);
    if (exec->child.output >= 0)
        child_close(&exec->child);
    free(exec);
    attempt->doing = NULL;
    attempt_end_with(attempt, "retry", "broken off: the worker was told to end");
}
