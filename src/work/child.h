/*
 * SPDX-License-Identifier: ISC
 *
 * A child process for somebody else's code. It leads a process group of its own, is killed when this process dies, and
 * shares one pipe with it. It is ended together with its whole group.
 *
 * A process that it starts may leave the group (setsid). After child_adopt, such a stray becomes a child of this
 * process when the processes between have ended, and child_end_strays ends it.
 */
#ifndef CANDHOOK_CHILD_H
#define CANDHOOK_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;            /* 0: none */
    int output;           /* our end of its pipe, non-blocking */
    unsigned long number; /* counts all of them, from 1 on */
    struct child *next;   /* of those that run */
};

/*
 * Like fork(2): returns the pid; 0 in the child, where *PIPE is its end of the pipe; or -1 with errno. In the child,
 * signals are reset as for a new program. All other descriptors are still open there: the caller closes them.
 */
pid_t child_fork(struct child *child, int *pipe);

/* Returns whether it has ended. If so, *STATUS is that of waitpid, and the rest of its group is killed. */
bool child_ended(struct child *child, int *status);

/* Sends SIGTERM to the group. */
void child_terminate(const struct child *child);

/* Kills the group, waits for the child, which there must be, to end, and returns the status of waitpid. */
int child_kill(struct child *child);

/* Makes strays children of this process. */
void child_adopt(void);

/*
 * Kills the strays of children that have ended. It is not known whose they are: one is killed as soon as none of the
 * children runs that ran when it was first seen here. To be called after the end of each child.
 */
void child_end_strays(void);

/* For a process whose children are not of child_fork: kills all of them but OURS. */
void child_end_others(const pid_t *ours, size_t count);

/* Closes our end of the pipe. */
void child_close(struct child *child);

/*
 * Finds the file NAME of handler_dir and gives its resolved *PATH, freed by the caller. RESULT_FAIL, with *PATH NULL,
 * unless the file may run with our rights: it lies inside handler_dir, is a regular file of ours or root's, and nobody
 * else may write to it, to its folder, or to one above, where they could put another in its place.
 */
MUST_CHECK enum result child_find(const char *handler_dir, const char *name, char **path, struct err *err);

#endif
