/*
 * SPDX-License-Identifier: ISC
 *
 * Kind exec where the system refuses: the program does not run in another folder than its own.
 */
#include <config.h>

#include "work/kind_exec.h"

#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

int __wrap_chdir(const char *path);

int __wrap_chdir(const char *path)
{
    (void)path;
    errno = EACCES;
    return -1;
}

static void test_folder(void)
{
    char folder[] = "/bin";
    struct conf conf = {.handler_dir = folder, .path = folder};
    struct store_delivery delivery = {.event_id = "1", .attempt = 1, .body = "{}"};
    struct store_lease lease = {.handler = "x", .kind = "exec", .target = "true", .timeout_ms = 60000};
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

int main(void)
{
    test_folder();
    return done();
}
