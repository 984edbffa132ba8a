/*
 * SPDX-License-Identifier: ISC
 *
 * candhook stop: ends the worker of the spool. A mark in the spool keeps responders from starting another; candhook
 * work takes the mark away.
 */
#include <config.h>

#include "base/lock.h"
#include "base/signals.h"
#include "spool/spool.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define LOOK_EVERY_MS 50
#define WAIT_MS 60000

static const struct argp argp = {
    NULL,
    NULL,
    NULL,
    "Ends the worker of the configured spool, once its batch is done. Events are taken and kept all the same.\v"
    "No worker is started by a responder until candhook work has been run. Exit status: 0 when no worker runs any "
    "more; "
    "75 when it has not ended within a minute.",
    NULL,
    NULL,
    NULL};

/* Sends TERM and waits until the lock is free. Returns the exit status. */
static int end_worker(const char *verb, int lock_file)
{
    pid_t holder = lock_holder(lock_file);

    if (holder == 0) {
        puts("no worker was running");
        return 0;
    }
    if (holder < 0) {
        fprintf(stderr,
                "%s: a worker runs where its process cannot be seen from here (another container?): end it there\n",
                verb);
        return EX_UNAVAILABLE;
    }
    if (kill(holder, SIGTERM) != 0) {
        fprintf(stderr, "%s: process %d cannot be told to end; are you its user?\n", verb, (int)holder);
        return EX_NOPERM;
    }
    for (int waited = 0; lock_holder(lock_file) == holder; waited += LOOK_EVERY_MS) {
        if (waited >= WAIT_MS) {
            fprintf(stderr, "%s: process %d was told to end and still finishes its batch\n", verb, (int)holder);
            return EX_TEMPFAIL;
        }
        signals_poll(NULL, 0, LOOK_EVERY_MS);
    }
    printf("the worker (process %d) ended\n", (int)holder);
    return 0;
}

/* Makes the mark and ends the worker. Returns the exit status. */
static int stop(const char *verb, int folder)
{
    int mark = openat(folder, SPOOL_STOPPED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int lock_file = openat(folder, SPOOL_WORKER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int status = EX_IOERR;

    if (mark < 0 || lock_file < 0)
        fprintf(stderr, "%s: cannot write in the spool\n", verb);
    else
        status = end_worker(verb, lock_file);
    if (mark >= 0)
        close(mark);
    if (lock_file >= 0)
        close(lock_file);
    return status;
}

int verb_stop(int argc, char **argv)
{
    struct conf *conf;
    struct err err;
    int folder, status;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    status = verb_begin_conf(argv[0], &conf);
    if (status != 0)
        return status;
    if (spool_open(conf->spool, &folder, &err) == RESULT_OK) {
        status = stop(argv[0], folder);
        close(folder);
    } else {
        status = verb_fail(argv[0], RESULT_FAIL, &err);
    }
    conf_free(conf);
    return status;
}
