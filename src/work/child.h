/*
 * SPDX-License-Identifier: ISC
 *
 * A child process for somebody else's code. It leads a process group of its own, dies with us, has nothing of ours but
 * one pipe, and is ended with its whole group.
 */
#ifndef CANDHOOK_CHILD_H
#define CANDHOOK_CHILD_H

#include <sys/types.h>

struct child {
    pid_t pid;  /* 0: none */
    int output; /* our end of its pipe, non-blocking */
};

/*
 * Forks. Returns the pid, 0 in the child with *PIPE its end of the pipe, or -1 with errno. In the child signals are as
 * a new program expects them, and all other descriptors are still open: the caller closes what it does not need.
 */
pid_t child_fork(struct child *child, int *pipe);

/* Whether it has ended; then *STATUS is what waitpid gives, and what is left of its group is killed. */
int child_ended(struct child *child, int *status);

/* Sends SIGNAL to the group. */
void child_signal(const struct child *child, int signal);

/* Kills the group, waits for the child's end, and returns what waitpid gives. Nothing when there is none. */
int child_kill(struct child *child);

/* Closes the pipe. */
void child_close(struct child *child);

/*
 * Opens the file NAME of handler_dir, resolved to *PATH (to be freed), if it may run with our rights: it lies in the
 * folder, is a regular file of ours or root's, and nobody else may write it or its folder. Returns 0, or -1 with the
 * reason in ERR.
 */
struct err;
int child_find(const char *handler_dir, const char *name, char **path, struct err *err);

#endif
