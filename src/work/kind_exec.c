/*
 * SPDX-License-Identifier: ISC
 *
 * Programs as handlers. The program's stdin is an unlinked file in memory that holds the whole event, so nothing has to
 * be written while it runs; stdout and stderr are one pipe. At the deadline the program's process group gets TERM, and
 * KILL two seconds later. When the program ends, the rest of its group is killed.
 */
#include <config.h>

#include "work/kind_exec.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/std_fds.h"
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

#define KILL_MS 2000                               /* from TERM to KILL */
#define OUTPUT_BYTES (ATTEMPT_DETAIL_BYTES + 1000) /* masking a token may shorten it */
#define PATH_VALUE BINDIR ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define VARIABLES 16
#define READS 16 /* of output in one step, so that one program cannot delay the others */

struct exec_process {
    struct child child;
    bool terminated; /* TERM was sent, and the deadline is that of KILL */
    size_t length;
    char output[OUTPUT_BYTES + 1];
};

/* ---- in the child ---- */

static void set_variable(char **variables, size_t *count, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (*count >= VARIABLES - 1)
        abort();
    variables[(*count)++] = memory_format("%s=%s", name, value);
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

/* What the child does until it is the program. An error is written to its stderr, like output of the program. */
static void run_program(const struct attempt *attempt, const struct conf *conf, const char *path, int input, int pipe)
{
    char *variables[VARIABLES];
    char *const arguments[] = {memory_copy_text(attempt->lease->target), NULL};

    dup2(input, 0);
    dup2(pipe, 1);
    dup2(pipe, 2);
    std_fds_close_others(3);
    if (chdir(conf->handler_dir) != 0) {
        dprintf(2, "cannot enter %s: %s\n", conf->handler_dir, strerror(errno));
        _exit(EX_OSERR);
    }
    set_variables(variables, attempt, conf);
    execve(path, arguments, variables);
    dprintf(2, "cannot run %s: %s\n", path, strerror(errno));
    _exit(EX_OSERR);
}

/* ---- in the parent ---- */

/* Returns a descriptor of a file in memory that holds BODY, at offset 0; -1 with errno. */
static int open_input(const char *body)
{
    int fd = memfd_create("event", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (io_write_all(fd, body, strlen(body)) && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Starts the program at PATH. Returns NULL with the reason in ERR when there can be no process. */
static struct exec_process *start_program(const struct attempt *attempt, const struct conf *conf, const char *path,
                                          struct err *err)
{
    struct exec_process *process = memory_new(1, sizeof *process);
    int input = open_input(attempt->delivery->body), pipe;

    if (input >= 0 && child_fork(&process->child, &pipe) == 0)
        run_program(attempt, conf, path, input, pipe);
    if (process->child.pid == 0) {
        err_set_errno(err, "cannot start a process");
        free(process);
        process = NULL;
    }
    if (input >= 0)
        close(input);
    return process;
}

enum result kind_exec_begin(struct attempt *attempt, const struct conf *conf, struct err *err)
{
    char *path;

    if (child_find(conf->handler_dir, attempt->lease->target, &path, err) != RESULT_OK) {
        attempt_begin(attempt);
        attempt_end_with(attempt, "retry", "%s", err->text);
        return RESULT_OK;
    }
    attempt->kind_data = start_program(attempt, conf, path, err);
    free(path);
    if (attempt->kind_data == NULL)
        return RESULT_RETRY;
    attempt_begin(attempt);
    return RESULT_OK;
}

int kind_exec_descriptor(const struct attempt *attempt)
{
    return ((const struct exec_process *)attempt->kind_data)->child.output;
}

/* Reads what has come. What exceeds the room is dropped. */
static void read_output(struct exec_process *process)
{
    char dropped[4096];
    ssize_t got = 1;

    if (process->child.output < 0)
        return;
    for (int reads = 0; reads < READS && got > 0; reads++) {
        size_t room = OUTPUT_BYTES - process->length;

        got = room > 0 ? read(process->child.output, process->output + process->length, room)
                       : read(process->child.output, dropped, sizeof dropped);
        if (got > 0 && room > 0)
            process->length += (size_t)got;
    }
    if (got == 0)
        child_close(&process->child); /* it may still run: the attempt ends when the program does */
}

/* Returns the output as a text: NUL bytes become `?`, white space at the end is removed. */
static const char *trim_output(struct exec_process *process)
{
    for (size_t i = 0; i < process->length; i++)
        if (process->output[i] == '\0')
            process->output[i] = '?';
    while (process->length > 0 && strchr(" \t\r\n", process->output[process->length - 1]) != NULL)
        process->length--;
    process->output[process->length] = '\0';
    return process->output;
}

static void free_exec_process(struct attempt *attempt)
{
    struct exec_process *process = attempt->kind_data;

    if (process->child.output >= 0)
        child_close(&process->child);
    free(process);
    attempt->kind_data = NULL;
}

/* Ends the attempt by the way in which the program ended. */
static void end_by_exit(struct attempt *attempt, int status)
{
    struct exec_process *process = attempt->kind_data;
    const char *output, *separator;

    read_output(process);
    output = trim_output(process);
    separator = *output != '\0' ? ": " : "";
    if (process->terminated)
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
    free_exec_process(attempt);
}

void kind_exec_step(struct attempt *attempt)
{
    struct exec_process *process = attempt->kind_data;
    int status;

    read_output(process);
    if (child_ended(&process->child, &status)) {
        end_by_exit(attempt, status);
    } else if (clock_monotonic_ms() >= attempt->deadline && !process->terminated) {
        child_terminate(&process->child);
        process->terminated = true;
        attempt->deadline = clock_monotonic_ms() + KILL_MS;
    } else if (clock_monotonic_ms() >= attempt->deadline) {
        end_by_exit(attempt, child_kill(&process->child));
    }
}

void kind_exec_kill(struct attempt *attempt)
{
    struct exec_process *process = attempt->kind_data;

    child_kill(&process->child);
    free_exec_process(attempt);
}
