/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/child.h"

#include "base/memory.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
    setpgid(child->pid, child->pid); /* as the child does: whichever runs first */
    child->output = ends[0];
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    return child->pid;
}

bool child_ended(struct child *child, int *status)
{
    siginfo_t info = {.si_pid = 0};

    /* WNOWAIT keeps the pid taken until the group was signalled: the signal can hit no other process. */
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return false;
    *status = child_kill(child);
    return true;
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

/* ---- trust ---- */

/*
 * Checks that PATH is of TYPE, and that only root and this user can have written it. SHARED: a folder that others may
 * write to will do if it is sticky, as /tmp is: of what lies there they can replace only what is theirs.
 */
static enum result check_path_trust(const char *path, mode_t type, bool shared, struct err *err)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        err_set_errno(err, "cannot find %s", path);
        return RESULT_FAIL;
    }
    if ((status.st_mode & S_IFMT) == type && (status.st_uid == 0 || status.st_uid == geteuid()) &&
        ((status.st_mode & 022) == 0 || (shared && (status.st_mode & S_ISVTX) != 0)))
        return RESULT_OK;
    err_set(err, "refused %s: it must be a %s that belongs to this user or root and that only its owner may write to",
            path, type == S_IFDIR ? "folder" : "regular file");
    return RESULT_FAIL;
}

/* Checks the file at PATH, which is resolved, the folder that it lies in, and all above that. */
static enum result check_handler_trust(const char *path, struct err *err)
{
    enum result result = check_path_trust(path, S_IFREG, false, err);
    char *folder = memory_copy_text(path), *slash;
    bool above = false;

    while (result == RESULT_OK && (slash = strrchr(folder, '/')) != NULL) {
        *slash = '\0';
        result = check_path_trust(slash > folder ? folder : "/", S_IFDIR, above, err);
        above = true;
    }
    free(folder);
    return result;
}

/* Resolves FOLDER/NAME, which must not lead out of FOLDER (itself resolved). */
static enum result resolve_inside(const char *folder, const char *name, char **path, struct err *err)
{
    char *joined = memory_format("%s/%s", folder, name);
    size_t length = strlen(folder);
    enum result result = RESULT_FAIL;

    *path = realpath(joined, NULL);
    if (*path == NULL)
        err_set_errno(err, "cannot find %s", joined);
    else if (strncmp(*path, folder, length) != 0 || (*path)[length] != '/')
        err_set(err, "refused %s: it leaves handler_dir", joined);
    else
        result = RESULT_OK;
    free(joined);
    return result;
}

enum result child_find(const char *handler_dir, const char *name, char **path, struct err *err)
{
    char *folder = realpath(handler_dir, NULL);
    enum result result;

    *path = NULL;
    if (folder == NULL) {
        err_set_errno(err, "cannot find handler_dir, %s", handler_dir);
        return RESULT_FAIL;
    }
    result = resolve_inside(folder, name, path, err);
    if (result == RESULT_OK)
        result = check_handler_trust(*path, err);
    if (result != RESULT_OK) {
        free(*path);
        *path = NULL;
    }
    free(folder);
    return result;
}
