/*
 * SPDX-License-Identifier: ISC
 *
 * Sees to it that `candhook work` runs for the spool, so that mounting the responder is all there is to do.
 */
#ifndef CANDHOOK_HELPER_H
#define CANDHOOK_HELPER_H

#include <sys/types.h>

#include "conf.h"
#include "err.h"

/*
 * Forks the helper of a FastCGI responder: it starts the worker whenever none runs, with a back-off that is kept in the
 * spool, and ends with its parent. To be called before anything but the listening socket is open. Returns its pid, or
 * -1 with errno.
 */
pid_t helper_fork(const struct conf *conf, int listener);

/*
 * After a CGI request was spooled: a child in a session of its own, without any of the front's descriptors, sees to it
 * that `candhook work --once` looks at the spool from now on, unless another such child waits to do so already. However
 * many requests come, one worker runs and one child waits for it to end.
 */
void helper_start_once(const struct conf *conf);

#endif
