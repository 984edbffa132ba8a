/*
 * SPDX-License-Identifier: ISC
 *
 * Starts `candhook work` for the spool when none runs, so that mounting the responder is all there is to do. Under
 * FastCGI the monitor does it; under CGI each request does.
 */
#ifndef CANDHOOK_WORKER_START_H
#define CANDHOOK_WORKER_START_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The back-off with which a process is started again: 2 s to a minute after the last start, longer with each start in a
 * row that did not last a minute. All 0: not started yet. Times are milliseconds of one clock.
 */
struct restart {
    int64_t started_ms;
    unsigned failures;
};

bool restart_is_due(const struct restart *restart, int64_t now_ms);
void restart_note(struct restart *restart, int64_t now_ms);

/* Who starts workers for a spool. The caller sets CONF, and the descriptors to -1. */
struct worker_start {
    const struct conf *conf;
    int folder, lock_file;
    bool reported; /* that the spool cannot be opened */
};

/* Starts a worker when none runs, no person stopped it, and the back-off allows. To be called each second. */
void worker_start_missing(struct worker_start *start);

/* In a child made by fork: closes its copies of the descriptors. */
void worker_start_close(struct worker_start *start);

/*
 * Forks a child that runs `candhook work --once` when the worker that runs now, if any, has ended; it does nothing when
 * another such child waits already. However many requests come, one worker runs and one child waits. To be called when
 * a CGI request was spooled.
 */
void worker_start_once(const struct conf *conf);

#endif
