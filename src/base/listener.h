/*
 * SPDX-License-Identifier: ISC
 *
 * The listening socket: one that was inherited, or a unix socket of our own.
 */
#ifndef CANDHOOK_LISTENER_H
#define CANDHOOK_LISTENER_H

#include "base/err.h"

#include <stdbool.h>

/* Returns whether FD is a listening socket. Only asks the kernel. */
bool listener_is_one(int fd);

/*
 * Returns the listening socket that the process was started with: descriptor 3 when systemd passes it, or descriptor 0;
 * else -1. All other inherited descriptors are closed: Apache's prefork leaks pipes, and a program that keeps them
 * holds up Apache's restart.
 */
int listener_inherited(void);

/*
 * Opens a unix socket (mode 0660) at PATH. It replaces a socket that no process listens on; RESULT_FAIL when anything
 * else is there.
 */
MUST_CHECK enum result listener_open(const char *path, int *listener, struct err *err);

#endif
