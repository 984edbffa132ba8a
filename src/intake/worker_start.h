/*
 * SPDX-License-Identifier: ISC
 *
 * Sees to it that `candhook work` runs for the spool, so that mounting the responder is all there is to do.
 */
#ifndef CANDHOOK_WORKER_START_H
#define CANDHOOK_WORKER_START_H

#include "base/err.h"
#include "conf/conf.h"

#include <sys/types.h>

/*
 * Forks the helper of a FastCGI responder: it starts the worker whenever none runs, with a back-off that is kept in the
 * spool, and ends with its parent. To be called before anything but the listening socket is open. Returns its pid, or
 * -1 with errno.
 */
pid_t worker_start_fork_helper(const struct conf *conf, int listener);

/*
 * After a CGI request was spooled: a child in a session of its own, without any of the front's descriptors, sees to it
 * that `candhook work --once` looks at the spool from now on, unless another such child waits to do so already. However
 * many requests come, one worker runs and one child waits for it to end.
 */
void worker_start_once(const struct conf *conf);

#endif
