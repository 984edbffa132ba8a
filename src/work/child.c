/*
 * SPDX-License-Identifier: ISC
 *
 * Processes for handlers.
 */
#include <config.h>

#include "work/child.h"

#include "base/err.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t child_fork(struct child *child, int *pipe)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    child->pid = fork();
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        setpgid(0, 0);
        signals_reset();
        *pipe = ends[1];
        return 0;
    }
    close(ends[1]);
    if (child->pid < 0) {
        child->pid = 0;
        close(ends[0]);
        return -1;
    }
    setpgid(child->pid, child->pid); /* both sides do: whoever comes first */
    child->output = ends[0];
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    return child->pid;
}

int child_ended(struct child *child, int *status)
{
    siginfo_t info = {.si_pid = 0};

    /* Its pid stays taken until the group is gone, so that the signal can hit nobody else. */
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return 0;
    *status = child_kill(child);
    return 1;
}

void child_signal(const struct child *child, int signal)
{
    kill(-child->pid, signal);
}

int child_kill(struct child *child)
{
    int status = 0;

    if (child->pid == 0)
        return 0;
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    return status;
}

void child_close(struct child *child)
{
    close(child->output);
    child->output = -1;
}

/* ---- whose code it is ---- */

/* Whether nobody but root and us could have written it. */
static int is_ours(const char *path, mode_t type, struct err *err)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        err_set_errno(err, "cannot find %s", path);
        return 0;
    }
    if ((status.st_mode & S_IFMT) == type && (status.st_uid == 0 || status.st_uid == geteuid()) &&
        (status.st_mode & 022) == 0)
        return 1;
    err_set(err, "refused %s: it must be a %s of this user's or root's that only its owner may write", path,
            type == S_IFDIR ? "folder" : "regular file");
    return 0;
}

int child_find(const char *handler_dir, const char *name, char **path, struct err *err)
{
    char *folder = realpath(handler_dir, NULL), *joined;
    size_t length = folder != NULL ? strlen(folder) : 0;

    *path = NULL;
    if (folder == NULL) {
        err_set_errno(err, "cannot find handler_dir, %s", handler_dir);
        return -1;
    }
    if (asprintf(&joined, "%s/%s", folder, name) < 0)
        abort();
    *path = realpath(joined, NULL);
    if (*path == NULL)
        err_set_errno(err, "cannot find %s", joined);
    else if (strncmp(*path, folder, length) != 0 || (*path)[length] != '/')
        err_set(err, "refused %s: it leaves handler_dir", joined);
    else if (is_ours(*path, S_IFREG, err)) {
        char *slash = strrchr(*path, '/');
        int trusted;

        *slash = '\0';
        trusted = is_ours(*path, S_IFDIR, err);
        *slash = '/';
        if (trusted)
            goto out;
    }
    free(*path);
    *path = NULL;
out:
    free(joined);
    free(folder);
    return *path != NULL ? 0 : -1;
}
