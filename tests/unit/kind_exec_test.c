/*
 * SPDX-License-Identifier: ISC
 *
 * Processes where the system refuses: the program of an exec handler does not run in another folder than its own, and
 * no attempt begins that cannot.
 */
#include <config.h>

#include "work/kind_exec.h"

#include "tap.h"
#include "work/child.h"
#include "work/kind_c.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int __wrap_chdir(const char *path);

int __wrap_chdir(const char *path)
{
    (void)path;
    errno = EACCES;
    return -1;
}

static struct store_delivery delivery = {.event_id = "1", .attempt = 1, .body = "{}"};
static struct store_lease lease = {.handler = "x", .kind = "exec", .target = "true", .timeout_ms = 60000};

static void test_folder(void)
{
    char folder[] = "/bin";
    struct conf conf = {.handler_dir = folder, .path = folder};
    struct attempt attempt = {.lease = &lease, .delivery = &delivery};
    struct err err;

    ok(kind_exec_begin(&attempt, &conf, &err) == RESULT_OK, "it begins");
    while (attempt.state == ATTEMPT_RUNS) {
        poll(NULL, 0, 1);
        kind_exec_step(&attempt);
    }
    is_text(attempt.outcome.result, "retry", "a program whose folder cannot be entered is tried again");
    is_text(attempt.outcome.detail, "exit status 71: cannot enter /bin: Permission denied", "and that is said");
    attempt_free(&attempt);
}

/* ---- limits ---- */

static void set_soft_limit(int which, rlim_t soft)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) != 0)
        exit(99);
    limit.rlim_cur = soft;
    if (setrlimit(which, &limit) != 0)
        exit(99);
}

/* Leaves room for COUNT descriptors more. */
static void leave_descriptors(int count)
{
    int next = dup(0);

    close(next);
    set_soft_limit(RLIMIT_NOFILE, (rlim_t)next + (rlim_t)count);
}

static rlim_t soft_limit(int which)
{
    struct rlimit limit;

    return getrlimit(which, &limit) == 0 ? limit.rlim_cur : 0;
}

static void test_no_process(void)
{
    char folder[] = "/bin";
    struct conf conf = {.handler_dir = folder, .path = folder};
    struct attempt attempt = {.lease = &lease, .delivery = &delivery};
    rlim_t files = soft_limit(RLIMIT_NOFILE), size = soft_limit(RLIMIT_FSIZE);
    enum result result;
    struct err err;
    bool none;

    for (int count = 0; count < 3; count++) {
        leave_descriptors(count);
        result = kind_exec_begin(&attempt, &conf, &err);
        set_soft_limit(RLIMIT_NOFILE, files);
        ok(result == RESULT_RETRY && attempt.state == ATTEMPT_WAITS, "with %d descriptors no program starts", count);
        is_text(err.text, "cannot start a process: Too many open files", "which is told");
    }
    signal(SIGXFSZ, SIG_IGN);
    set_soft_limit(RLIMIT_FSIZE, 1);
    result = kind_exec_begin(&attempt, &conf, &err);
    set_soft_limit(RLIMIT_FSIZE, size);
    ok(result == RESULT_RETRY && attempt.state == ATTEMPT_WAITS, "nor one whose event finds no room");
    is_text(err.text, "cannot start a process: File too large", "which is told");
    leave_descriptors(0);
    none = kind_c_start(&attempt, 1, INT64_MAX, &conf, &err) == NULL;
    set_soft_limit(RLIMIT_NOFILE, files);
    ok(none && attempt.state == ATTEMPT_WAITS, "nor one of kind c");
    is_text(err.text, "cannot start a process: Too many open files", "which is told");
}

static void test_no_handler_dir(void)
{
    char folder[] = "/nowhere";
    struct conf conf = {.handler_dir = folder, .path = folder};
    struct attempt attempt = {.lease = &lease, .delivery = &delivery};
    struct err err;

    ok(kind_exec_begin(&attempt, &conf, &err) == RESULT_OK, "without handler_dir an attempt ends at once");
    is_text(attempt.outcome.result, "retry", "to be made again");
    is_text(attempt.outcome.detail, "cannot find handler_dir, /nowhere: No such file or directory", "and says why");
    attempt_free(&attempt);
}

static void test_strays(void)
{
    rlim_t files = soft_limit(RLIMIT_NOFILE);
    pid_t stray = fork();
    int status;

    if (stray == 0) {
        pause();
        _exit(0);
    }
    leave_descriptors(0);
    child_end_strays();
    set_soft_limit(RLIMIT_NOFILE, files);
    ok(waitpid(stray, &status, WNOHANG) == 0, "a process that was left behind, and cannot be listed, stays");
    child_end_strays();
    ok(waitpid(stray, &status, WNOHANG) == -1 && errno == ECHILD, "until it can be");
}

int main(void)
{
    test_no_process();
    test_no_handler_dir();
    test_strays();
    test_folder();
    return done();
}
