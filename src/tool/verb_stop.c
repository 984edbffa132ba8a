/*
 * SPDX-License-Identifier: ISC
 *
 * candhook stop: ends the worker of the spool. The file `stopped` in the spool keeps responders from starting another
 * worker; candhook work, run by a person, removes the file.
 */
#include <config.h>

#include "base/lock.h"
#include "base/signals.h"
#include "spool/spool.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define POLL_MS 50
#define TIMEOUT_MS 60000

static const struct argp stop_argp = {
    .doc = "Ends the worker of the configured spool, when its batch is done. Responders go on spooling events.\v"
           "No responder starts a worker until candhook work has been run by hand.\n"
           "Exit status: 0 when no worker runs; 69 when its process cannot be seen from here; 70 or 74 when the spool "
           "cannot be used; 75 when the worker has not ended within a minute; 77 when this user may not end it.",
};

/* Sends TERM to the worker and waits until it has released the lock. Returns the exit status. */
static int end_worker(const char *verb, int lock_file)
{
    pid_t holder = lock_holder(lock_file);

    if (holder == 0) {
        puts("no worker was running");
        return 0;
    }
    if (holder < 0) {
        fprintf(stderr,
                "%s: a worker runs, but its process cannot be seen from here; end it where it runs (another "
                "container?)\n",
                verb);
        return EX_UNAVAILABLE;
    }
    if (kill(holder, SIGTERM) != 0) {
        fprintf(stderr, "%s: this user may not end the worker (process %d); run this as the user of the worker\n", verb,
                (int)holder);
        return EX_NOPERM;
    }
    for (int waited = 0; lock_holder(lock_file) == holder; waited += POLL_MS) {
        if (waited >= TIMEOUT_MS) {
            fprintf(stderr, "%s: the worker (process %d) was told to end, and is still finishing its batch\n", verb,
                    (int)holder);
            return EX_TEMPFAIL;
        }
        signals_poll(NULL, 0, POLL_MS);
    }
    printf("the worker (process %d) ended\n", (int)holder);
    return 0;
}

/* Creates the file `stopped`, then ends the worker, so that no other is started in between. Returns the exit status. */
static int stop_worker(const char *verb, int folder)
{
    int stopped = openat(folder, SPOOL_STOPPED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int lock_file = openat(folder, SPOOL_WORKER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int status = EX_IOERR;

    if (stopped < 0 || lock_file < 0)
        fprintf(stderr, "%s: cannot create files in the spool: %s\n", verb, strerror(errno));
    else
        status = end_worker(verb, lock_file);
    if (stopped >= 0)
        close(stopped);
    if (lock_file >= 0)
        close(lock_file);
    return status;
}

int verb_stop(int argc, char **argv)
{
    struct conf *conf;
    struct err err;
    int folder, status;

    argp_parse(&stop_argp, argc, argv, 0, NULL, NULL);
    status = verb_begin_conf(argv[0], &conf);
    if (status != EX_OK)
        return status;
    if (spool_open(conf->spool, &folder, &err) == RESULT_OK) {
        status = stop_worker(argv[0], folder);
        close(folder);
    } else {
        status = verb_fail(argv[0], RESULT_FAIL, &err);
    }
    conf_free(conf);
    return status;
}
