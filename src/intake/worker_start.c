/*
 * SPDX-License-Identifier: ISC
 *
 * The helper: looks each second whether somebody holds the spool's worker lock, and starts a worker when nobody does.
 *
 * The back-off stands in the file `worker.start` of the spool, shared by all helpers: how many starts in a row did not
 * last a minute, and when the last one was (milliseconds since 1970). The file's lock is held while deciding.
 *
 * Under CGI there is no helper; each request that was spooled has a child instead, which becomes `candhook work
 * --once`. The lock of the file `worker.next` makes at most one of them wait for its turn; it is let go of only when
 * the worker's lock is held. So whoever finds it held may leave: a worker will begin, and look at the spool, after
 * that. The worker's lock stays held across the exec, so that a crowd of requests starts one program and not a crowd of
 * them.
 */
#include <config.h>

#include "intake/worker_start.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/signals.h"
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LASTING_MS 60000 /* a worker that ran so long started well */
#define FIRST_WAIT_MS 2000
#define LONGEST_WAIT_MS 60000
#define TURN_SECONDS 1200 /* longer than `candhook work --once` takes: 900 and what its last attempts need */

extern char **environ;

/* Whether a variable of our environment is the worker's too: what libpq and the C library read, nothing of a request's.
 */
static int is_passed_on(const char *variable)
{
    static const char *const names[] = {
        "PATH=", "HOME=", "TZ=", "LANG=", "LC_", "PG", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
}

static char **worker_environment(const struct conf *conf)
{
    size_t count = 0;
    char **result, *conf_variable;

    while (environ[count] != NULL)
        count++;
    result = calloc(count + 2, sizeof *result);
    if (result == NULL || asprintf(&conf_variable, "CANDHOOK_CONF=%s", conf->path) < 0)
        abort();
    count = 0;
    for (char **variable = environ; *variable != NULL; variable++)
        if (is_passed_on(*variable))
            result[count++] = *variable;
    result[count] = conf_variable;
    return result;
}

/* A session of its own, nothing of the front's but perhaps the place for log lines. */
static void leave_front(int keep_stderr)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    umask(077);
    dup2(null, 0);
    dup2(null, 1);
    if (!keep_stderr)
        dup2(null, 2);
    close_range(3, ~0U, 0);
    if (chdir("/") != 0)
        _exit(126);
    signals_reset();
}

/* Becomes the worker. Does not return. */
static void exec_worker(const struct conf *conf, int once)
{
    char program[] = "candhook", verb[] = "work", unless[] = "--unless-stopped", only_once[] = "--once";
    char *argv[] = {program, verb, unless, once ? only_once : NULL, NULL};

    execve(conf->worker_program, argv, worker_environment(conf));
    log_error("worker=not_started program=%s reason=%s", conf->worker_program, strerror(errno));
    _exit(127);
}

/* Opens a file of the spool, made if need be. -1 with errno. */
static int open_in(int folder, const char *name)
{
    return openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Whether the back-off allows a start now, which is then written down. */
static int may_start(int start_file)
{
    char text[64] = "";
    unsigned failures = 0;
    int64_t last = 0, now = clock_real_ms(), wait = FIRST_WAIT_MS;
    int length;

    if (pread(start_file, text, sizeof text - 1, 0) > 0)
        sscanf(text, "%u %" SCNd64, &failures, &last);
    if (last > now)
        last = 0; /* the clock was set back */
    for (unsigned i = 0; i < failures && wait < LONGEST_WAIT_MS; i++)
        wait *= 2;
    if (now - last < (wait < LONGEST_WAIT_MS ? wait : LONGEST_WAIT_MS))
        return 0;
    failures = now - last < LASTING_MS + wait ? failures + 1 : 0;
    length = snprintf(text, sizeof text, "%u %" PRId64 "\n", failures, now);
    return pwrite(start_file, text, (size_t)length, 0) == length && ftruncate(start_file, length) == 0;
}

/* Starts a worker if none runs, nobody stopped it on purpose, and the back-off allows. */
static void tend(const struct conf *conf, int folder, int lock_file)
{
    int start_file;

    if (lock_holder(lock_file) != 0 || faccessat(folder, SPOOL_STOPPED, F_OK, 0) == 0)
        return;
    start_file = open_in(folder, SPOOL_WORKER_START);
    if (start_file < 0)
        return;
    if (lock_take(start_file) && may_start(start_file)) {
        log_info("worker=starting program=%s", conf->worker_program);
        if (fork() == 0) {
            leave_front(1);
            exec_worker(conf, 0);
        }
    }
    close(start_file);
}

/* The helper's life. Its parent's death is a TERM. */
static void run(const struct conf *conf)
{
    int folder = -1, lock_file = -1, said = 0;
    struct err err;

    while (!signals_stop_asked()) {
        if (folder < 0 && spool_open(conf->spool, &folder, &err) != RESULT_OK) {
            if (!said++)
                log_error("worker=not_started reason=%s", err.text);
            folder = -1;
        }
        if (folder >= 0 && lock_file < 0)
            lock_file = open_in(folder, SPOOL_WORKER_LOCK);
        if (lock_file >= 0)
            tend(conf, folder, lock_file);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        signals_poll(NULL, 0, 1000);
    }
}

pid_t worker_start_fork_helper(const struct conf *conf, int listener)
{
    pid_t parent = getpid(), child = fork();
    int null;

    if (child != 0)
        return child;
    signals_catch();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    /* Whoever holds the listening socket keeps the front waiting when the responder is gone. */
    null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    if (listener > 2)
        close(listener);
    if (null > 2)
        close(null);
    prctl(PR_SET_NAME, "candhook-helper");
    run(conf);
    _exit(0);
}

static void on_alarm(int number)
{
    (void)number; /* only ends the wait for the lock */
}

/* Waits until the worker's lock is ours. 0: not in time. A worker that stays so long is no `--once`, and looks at the
 * spool by itself. */
static int take_turn(int worker_lock)
{
    struct sigaction action = {.sa_handler = on_alarm};
    int taken;

    sigaction(SIGALRM, &action, NULL);
    alarm(TURN_SECONDS);
    taken = lock_wait(worker_lock);
    alarm(0);
    return taken;
}

/* The life of a request's child. Does not return. */
static void wait_and_work(const struct conf *conf)
{
    struct err err;
    int folder, next, worker_lock;

    leave_front(0);
    if (spool_open(conf->spool, &folder, &err) != RESULT_OK)
        _exit(0);
    next = open_in(folder, SPOOL_WORKER_NEXT);
    worker_lock = open_in(folder, SPOOL_WORKER_LOCK);
    if (next < 0 || worker_lock < 0 || !lock_take(next) || !take_turn(worker_lock))
        _exit(0);
    close(next);
    if (faccessat(folder, SPOOL_STOPPED, F_OK, 0) == 0)
        _exit(0);
    close(folder);
    fcntl(worker_lock, F_SETFD, 0); /* closing it would let go of the lock */
    exec_worker(conf, 1);
}

void worker_start_once(const struct conf *conf)
{
    if (fork() == 0)
        wait_and_work(conf);
}
