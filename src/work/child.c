/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/child.h"

#include "base/memory.h"
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

#define STRAYS_SEEN 1024 /* at a time; others are seen when these are gone */

/* A process that a child has left behind. It is a child of ours now, so its pid is not used again before we wait. */
struct stray {
    pid_t pid;
    unsigned long last; /* number of the last child that ran when the stray was seen */
};

static struct child *running_children;
static unsigned long last_number;
static struct stray *strays;
static size_t stray_count;

static void note_child_start(struct child *child)
{
    child->number = ++last_number;
    child->next = running_children;
    running_children = child;
}

static void note_child_end(const struct child *child)
{
    struct child **link = &running_children;

    while (*link != NULL && *link != child)
        link = &(*link)->next;
    if (*link != NULL)
        *link = child->next;
}

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
    note_child_start(child);
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

void child_terminate(const struct child *child)
{
    kill(-child->pid, SIGTERM);
}

int child_kill(struct child *child)
{
    int status = 0;

    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    note_child_end(child);
    return status;
}

void child_close(struct child *child)
{
    close(child->output);
    child->output = -1;
}

/* ---- strays ---- */

void child_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* Lists children of this process, whoever started them. Where the kernel has no such list: none. */
static size_t list_children(pid_t pids[STRAYS_SEEN])
{
    char path[64];
    size_t count = 0;
    int pid;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (count < STRAYS_SEEN && fscanf(file, "%d", &pid) == 1)
        pids[count++] = pid;
    fclose(file);
    return count;
}

/* Kills a child of ours and waits for its end. Returns false where that is not allowed: the program has other rights.
 */
static bool end_stray(pid_t pid)
{
    if (kill(pid, SIGKILL) != 0)
        return waitpid(pid, NULL, WNOHANG) != 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return true;
}

static bool is_running_child(pid_t pid)
{
    const struct child *child = running_children;

    while (child != NULL && child->pid != pid)
        child = child->next;
    return child != NULL;
}

static bool is_known_stray(pid_t pid)
{
    for (size_t i = 0; i < stray_count; i++)
        if (strays[i].pid == pid)
            return true;
    return false;
}

static void find_strays(void)
{
    pid_t pids[STRAYS_SEEN];
    size_t count = list_children(pids);

    for (size_t i = 0; i < count; i++) {
        if (is_running_child(pids[i]) || is_known_stray(pids[i]))
            continue;
        strays = memory_resize(strays, stray_count + 1, sizeof *strays);
        strays[stray_count++] = (struct stray){pids[i], last_number};
    }
}

/* Returns the number of the child that has run longest; without any, one that is too large for all strays. */
static unsigned long oldest_child(void)
{
    unsigned long oldest = last_number + 1;

    for (const struct child *child = running_children; child != NULL; child = child->next)
        if (child->number < oldest)
            oldest = child->number;
    return oldest;
}

/* Ends the strays whose time has come. Returns whether there were any. */
static bool end_known_strays(void)
{
    unsigned long oldest = oldest_child();
    size_t left = 0, count = stray_count;

    for (size_t i = 0; i < count; i++)
        if (strays[i].last >= oldest || !end_stray(strays[i].pid))
            strays[left++] = strays[i];
    stray_count = left;
    return left < count;
}

void child_end_strays(void)
{
    do
        find_strays();
    while (end_known_strays()); /* their own children are ours now */
}

static bool is_listed(const pid_t *pids, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

void child_end_others(const pid_t *ours, size_t count)
{
    pid_t pids[STRAYS_SEEN];
    bool ended = true;

    while (ended) {
        size_t found = list_children(pids);

        ended = false;
        for (size_t i = 0; i < found; i++)
            ended = (!is_listed(ours, count, pids[i]) && end_stray(pids[i])) || ended;
    }
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
