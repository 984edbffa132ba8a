/*
 * SPDX-License-Identifier: ISC
 *
 * Starts `candhook work` for the spool when none runs, so that mounting the responder is all there is to do. Under
 * FastCGI a child of the responder, the helper, does it for as long as the responder runs; under CGI each request does.
 */
#ifndef CANDHOOK_WORKER_START_H
#define CANDHOOK_WORKER_START_H

#include "conf/conf.h"

#include <stdint.h>
#include <sys/types.h>

/* The helper of a responder. The caller sets CONF, and the rest to 0. */
struct worker_helper {
    const struct conf *conf;
    pid_t pid;         /* 0: none runs */
    int64_t forked_ms; /* when it was last tried to fork one (monotonic); 0: not yet */
    unsigned failures; /* how many in a row did not last a minute */
};

/*
 * Forks the helper when none runs: at once the first time, with a back-off of 2 s to a minute when one ended soon. Logs
 * what it did. Returns the milliseconds until the back-off is over, -1 when a helper runs. To be called again then, and
 * after SIGCHLD.
 */
int worker_start_helper_due(struct worker_helper *helper);

/*
 * Forks a child that runs `candhook work --once` when the worker that runs now, if any, has ended; it does nothing when
 * another such child waits already. However many requests come, one worker runs and one child waits. To be called when
 * a CGI request was spooled.
 */
void worker_start_once(const struct conf *conf);

#endif
