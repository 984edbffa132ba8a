/*
 * SPDX-License-Identifier: ISC
 *
 * Locks of whole files between processes: POSIX record locks (fcntl). They belong to a process, not to a descriptor: a
 * child made by fork never holds its parent's, they end with the process however it ends, and anybody can ask who holds
 * one without taking it. Their price: closing *any* descriptor of the file in the holding process lets go of the lock,
 * so a locked file is opened once per process.
 */
#ifndef CANDHOOK_LOCK_H
#define CANDHOOK_LOCK_H

#include <sys/types.h>

/* Takes the exclusive lock without waiting. Returns 0, or -1 with errno EAGAIN (or EACCES) when another holds it. */
int lock_take(int fd);

/* The same, but waits for it as long as others hold it. A caught signal ends the wait: -1 with EINTR. */
int lock_wait(int fd);

/* Lets go of the lock. */
void lock_release(int fd);

/*
 * The process that holds the lock, 0 when no other process does, -1 with errno on error: ESRCH when a process holds it
 * that cannot be seen from here (another pid namespace). Takes nothing.
 */
pid_t lock_holder(int fd);

#endif
