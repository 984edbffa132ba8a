/*
 * SPDX-License-Identifier: ISC
 *
 * The dispatcher while the database is silent: a server that takes connections and answers nothing. Linked with a clock
 * that runs ahead.
 */
#include <config.h>

#include "work/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/listener.h"
#include "base/memory.h"
#include "spool_rig.h"
#include "tap.h"
#include "work/backoff.h"
#include "work/dispatch_inside.h"

static int64_t clock_step_ms; /* by which each look at the clock puts it ahead */

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    static int64_t ahead_ms;

    return __real_clock_monotonic_ms() + (ahead_ms += clock_step_ms);
}

/* A lease of two deliveries, of which one may run at a time. */
static void lease_two(struct dispatch *dispatch)
{
    struct store_lease lease = {.number = 1,
                                .handler = "sleeper",
                                .kind = "exec",
                                .target = "sleeper",
                                .timeout_ms = 3600000,
                                .concurrency = 1,
                                .count = 2};

    lease.deliveries = memory_new(2, sizeof *lease.deliveries);
    for (int i = 0; i < 2; i++)
        lease.deliveries[i] = (struct store_delivery){.event_id = "1", .attempt = 1, .body = "{}"};
    add_run(dispatch, &lease, clock_monotonic_ms());
}

static void test_silent_database(const struct rig *rig)
{
    static const char program[] = "#!/bin/sh\nexec sleep 1000\n";
    char folder[200], database[300], path[200];
    struct conf conf = {.handler_dir = folder, .path = folder, .database = database};
    struct dispatch *dispatch;
    int listener, status;
    struct err err;

    snprintf(folder, sizeof folder, "%s", rig->path);
    snprintf(database, sizeof database, "host=%s dbname=x user=x", rig->path);
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", rig->path);
    rig_write(rig, "sleeper", (const uint8_t *)program, sizeof program - 1);
    if (fchmodat(rig->folder, "sleeper", 0700, 0) != 0 || listener_open(path, &listener, &err) != RESULT_OK)
        exit(99);
    dispatch = dispatch_new(&conf, "worker");
    lease_two(dispatch);
    ok(dispatch_step(dispatch) && dispatch->running == 1, "an attempt runs, and another waits");
    clock_step_ms = 2000;
    dispatch_finish(dispatch);
    clock_step_ms = 0;
    is_text(dispatch_trouble(dispatch)->text, "the database does not answer",
            "told to end, it waits for the database,");
    ok(dispatch->runs != NULL && dispatch->runs->begun == 1, "begins nothing more");
    dispatch_free(dispatch);
    ok(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD, "and ends what ran");
    close(listener);
    unlink(path);
}

static void test_backoff(void)
{
    struct backoff backoff = {0};
    struct err reason = {"none"};
    int first = backoff_next(&backoff, NULL, &reason), last = 0, longest = 0;

    for (int i = 0; i < 30; i++) {
        last = backoff_next(&backoff, NULL, &reason);
        longest = last > longest ? last : longest;
    }
    ok(first >= 50 && first <= 150, "the first wait is short: %d ms", first);
    ok(last >= 5000 && longest <= 15000, "later ones are as long as they get: %d ms", longest);
    backoff_reset(&backoff, "test");
    first = backoff_next(&backoff, NULL, &reason);
    ok(first >= 50 && first <= 150, "after a success it is short again");
}

int main(void)
{
    struct rig rig;

    rig_open(&rig);
    test_silent_database(&rig);
    test_backoff();
    rig_close(&rig);
    return done();
}
