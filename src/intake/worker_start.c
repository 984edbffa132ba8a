/*
 * SPDX-License-Identifier: ISC
 *
 * Starts workers. What a worker must not inherit: the listening socket and connections, which keep the front waiting
 * while anybody holds them, and the confinement. So the monitor and not the responder starts it, and the child closes
 * everything above descriptor 2.
 *
 * The worker's back-off is kept in the file `worker.start` of the spool, shared by all monitors: how many starts in a
 * row did not last a minute, and when the last one was (milliseconds since 1970). Who decides holds the file's lock.
 *
 * Under CGI there is no monitor. Each request that was spooled forks a child, which becomes `candhook work --once`. The
 * lock of the file `worker.next` lets at most one of them wait for the worker's lock, and it is released only when the
 * worker's lock is held. So a child that finds `worker.next` locked may end: a worker will begin, and read the spool,
 * after that. The worker's lock stays held across the exec, so that many requests at once start one program.
 */
#include <config.h>

#include "intake/worker_start.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "base/std_fds.h"
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LASTING_MS 60000 /* what ran this long started well */
#define FIRST_WAIT_MS 2000
#define LONGEST_WAIT_MS 60000
#define LOCK_WAIT_SECONDS 1200 /* longer than `candhook work --once` takes: 900 and what its last attempts need */

/* ---- back-off ---- */

/* Returns how long to wait after a start, when FAILURES in a row before it did not last. */
static int64_t start_wait_ms(unsigned failures)
{
    int64_t wait = FIRST_WAIT_MS;

    for (unsigned i = 0; i < failures && wait < LONGEST_WAIT_MS; i++)
        wait *= 2;
    return wait < LONGEST_WAIT_MS ? wait : LONGEST_WAIT_MS;
}

bool restart_is_due(const struct restart *restart, int64_t now_ms)
{
    return restart->started_ms == 0 || now_ms - restart->started_ms >= start_wait_ms(restart->failures);
}

void restart_note(struct restart *restart, int64_t now_ms)
{
    bool lasted =
        restart->started_ms == 0 || now_ms - restart->started_ms >= LASTING_MS + start_wait_ms(restart->failures);

    restart->failures = lasted ? 0 : restart->failures + 1;
    restart->started_ms = now_ms;
}

/* ---- the worker's process ---- */

/* Whether the worker inherits the variable: what libpq and the C library read, nothing of a request's. */
static bool is_inherited_variable(const char *variable)
{
    static const char *const names[] = {
        "PATH=", "HOME=", "TZ=", "LANG=", "LC_", "PG", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static char **worker_environment(const struct conf *conf)
{
    size_t count = 0;
    char **result;

    while (environ[count] != NULL)
        count++;
    result = memory_new(count + 2, sizeof *result);
    count = 0;
    for (char **variable = environ; *variable != NULL; variable++)
        if (is_inherited_variable(*variable))
            result[count++] = *variable;
    result[count] = memory_format("CANDHOOK_CONF=%s", conf->path);
    return result;
}

/* Puts /dev/null at 0 and 1, and at 2 unless the log goes there, and closes all else. */
static void release_descriptors(bool keep_stderr)
{
    int null;

    std_fds_close_others(3);
    null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    if (!keep_stderr)
        dup2(null, 2);
    close(null);
}

/* Makes this child a session of its own, with nothing of the front's but perhaps stderr. */
static void leave_front(bool keep_stderr)
{
    setsid();
    umask(077);
    release_descriptors(keep_stderr);
    (void)!chdir("/");
    signals_reset();
}

/* Becomes the worker. Does not return. */
static void exec_worker(const struct conf *conf, bool once)
{
    char program[] = "candhook", verb[] = "work", unless[] = "--unless-stopped", only_once[] = "--once";
    char *argv[] = {program, verb, unless, once ? only_once : NULL, NULL};

    execve(conf->worker_program, argv, worker_environment(conf));
    log_error("worker=not_started program=%s reason=%s", conf->worker_program, strerror(errno));
    _exit(127);
}

/* Opens a file of the spool, and makes it when it is not there. Returns -1 with errno. */
static int open_spool_file(int folder, const char *name)
{
    return openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool worker_is_stopped(int folder)
{
    return faccessat(folder, SPOOL_STOPPED, F_OK, 0) == 0;
}

/* ---- a missing worker ---- */

/* Whether the worker's back-off allows a start now, which is then noted in the file, whose lock is held. */
static bool note_start(int start_file)
{
    struct restart restart = {0};
    int64_t now = clock_real_ms();
    char text[64] = "";
    int length;

    if (pread(start_file, text, sizeof text - 1, 0) > 0)
        sscanf(text, "%u %" SCNd64, &restart.failures, &restart.started_ms);
    if (restart.started_ms > now)
        restart.started_ms = 0; /* the clock was set back */
    if (!restart_is_due(&restart, now))
        return false;
    restart_note(&restart, now);
    length = snprintf(text, sizeof text, "%u %" PRId64 "\n", restart.failures, restart.started_ms);
    return pwrite(start_file, text, (size_t)length, 0) == length && ftruncate(start_file, length) == 0;
}

static void start_worker(const struct worker_start *start)
{
    int start_file = open_spool_file(start->folder, SPOOL_WORKER_START);

    if (lock_take(start_file) && note_start(start_file)) {
        log_info("worker=starting program=%s", start->conf->worker_program);
        if (fork() == 0) {
            leave_front(true);
            exec_worker(start->conf, false);
        }
    }
    if (start_file >= 0)
        close(start_file);
}

void worker_start_missing(struct worker_start *start)
{
    struct err err;

    if (start->folder < 0 && spool_open(start->conf->spool, &start->folder, &err) != RESULT_OK) {
        if (!start->reported)
            log_error("worker=not_started reason=%s", err.text);
        start->reported = true;
        start->folder = -1;
        return;
    }
    if (start->lock_file < 0)
        start->lock_file = open_spool_file(start->folder, SPOOL_WORKER_LOCK);
    if (start->lock_file >= 0 && lock_holder(start->lock_file) == 0 && !worker_is_stopped(start->folder))
        start_worker(start);
}

void worker_start_close(struct worker_start *start)
{
    if (start->folder >= 0)
        close(start->folder);
    if (start->lock_file >= 0)
        close(start->lock_file);
}

/* ---- the child of a CGI request ---- */

static void on_lock_alarm(int number)
{
    (void)number; /* only ends the wait for the lock */
}

/* Waits for the worker's lock. Returns false after LOCK_WAIT_SECONDS: a worker that runs this long is not `--once`, and
 * reads the spool by itself. */
static bool wait_for_worker_lock(int worker_lock)
{
    struct sigaction action = {.sa_handler = on_lock_alarm};
    bool taken;

    sigaction(SIGALRM, &action, NULL);
    alarm(LOCK_WAIT_SECONDS);
    taken = lock_wait(worker_lock);
    alarm(0);
    return taken;
}

/* The life of a request's child. Does not return. */
static void run_once_child(const struct conf *conf)
{
    struct err err;
    int folder, next, worker_lock;

    leave_front(false);
    if (spool_open(conf->spool, &folder, &err) != RESULT_OK)
        _exit(0);
    next = open_spool_file(folder, SPOOL_WORKER_NEXT);
    worker_lock = open_spool_file(folder, SPOOL_WORKER_LOCK);
    if (next < 0 || worker_lock < 0 || !lock_take(next) || !wait_for_worker_lock(worker_lock))
        _exit(0);
    close(next);
    if (worker_is_stopped(folder))
        _exit(0);
    close(folder);
    fcntl(worker_lock, F_SETFD, 0); /* closing it would release the lock */
    exec_worker(conf, true);
}

void worker_start_once(const struct conf *conf)
{
    if (fork() == 0)
        run_once_child(conf);
}
