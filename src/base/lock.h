/*
 * SPDX-License-Identifier: ISC
 *
 * Locks of whole files between processes: POSIX record locks (fcntl). They belong to a process, not to a descriptor: a
 * child made by fork never holds its parent's, they end with the process however it ends, and anybody can ask who holds
 * one without taking it. Their price: closing *any* descriptor of the file in the holding process releases the lock, so
 * a locked file is opened once per process. The functions are thin wrappers of fcntl(2), and set errno.
 */
#ifndef CANDHOOK_LOCK_H
#define CANDHOOK_LOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Takes the exclusive lock without waiting. Returns false with errno EAGAIN or EACCES when another process holds it. */
MUST_CHECK bool lock_take(int fd);

/* The same, but waits while others hold it. A caught signal ends the wait: false with EINTR. */
MUST_CHECK bool lock_wait(int fd);

/*
 * Returns the process that holds the lock, 0 when no other process does, and -1 with errno on an error: ESRCH when the
 * holder is in another pid namespace, so that it has no pid here. Takes nothing.
 */
pid_t lock_holder(int fd);

#endif
