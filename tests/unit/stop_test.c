/*
 * SPDX-License-Identifier: ISC
 *
 * candhook stop, where the worker does not end, or cannot be told to. The linker puts a wait that takes no time in the
 * place of the real one.
 */
#include <config.h>

#include "base/lock.h"
#include "base/signals.h"
#include "spool/spool.h"
#include "tool/verb.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "conf_rig.h"

static int folder_fd; /* the spool */
static int waited_ms;

int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    waited_ms += timeout_ms;
    return 0;
}

/* Runs candhook stop. Returns the exit status; *SAID is what it says on stderr, to be freed. */
static int run_stop(char **said)
{
    char verb[] = "candhook stop", *argv[] = {verb, NULL};
    FILE *stderr_before = stderr;
    size_t length;
    int status;

    waited_ms = 0;
    stderr = open_memstream(said, &length);
    must(stderr != NULL, "open_memstream");
    status = verb_stop(1, argv);
    fclose(stderr);
    stderr = stderr_before;
    return status;
}

static void check_stop(int wanted, const char *words, const char *name)
{
    char *said;
    int status = run_stop(&said);

    if (!ok(status == wanted && strstr(said, words) != NULL, "%s: %d, and says so", name, wanted))
        printf("# status %d: %s\n", status, said);
    free(said);
}

static int open_lock_file(void)
{
    int fd = openat(folder_fd, SPOOL_WORKER_LOCK, O_RDWR | O_CREAT, 0600);

    must(fd >= 0, SPOOL_WORKER_LOCK);
    return fd;
}

/* A worker that is told to end and does not. */
static void check_busy_worker(void)
{
    int ready[2];
    char byte, words[80];
    pid_t worker;

    must(pipe(ready) == 0, "pipe");
    fflush(stdout);
    worker = fork();
    must(worker >= 0, "fork");
    if (worker == 0) {
        signal(SIGTERM, SIG_IGN);
        if (!lock_take(open_lock_file()) || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    must(read(ready[0], &byte, 1) == 1, "the worker runs");
    snprintf(words, sizeof words, "the worker (process %d) was told to end, and is still finishing", (int)worker);
    check_stop(EX_TEMPFAIL, words, "a worker that does not end");
    ok(waited_ms == 60000, "it had a minute");
    kill(worker, SIGKILL);
    must(waitpid(worker, NULL, 0) == worker, "waitpid");
    close(ready[0]);
    close(ready[1]);
}

/* A lock of an open file description belongs to no process, and is seen as one from another pid namespace is. */
static void check_unseen_worker(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_lock_file();

    must(fcntl(fd, F_OFD_SETLK, &lock) == 0, "lock");
    check_stop(EX_UNAVAILABLE, "its process cannot be seen from here", "a worker in another container");
    close(fd);
}

static void check_refused_file(void)
{
    must(unlinkat(folder_fd, SPOOL_STOPPED, 0) == 0 && symlinkat("elsewhere", folder_fd, SPOOL_STOPPED) == 0, "link");
    check_stop(EX_IOERR, "cannot create files in the spool: Too many levels", "a symbolic link in the file's place");
}

int main(void)
{
    char text[PATH_MAX + 128];
    struct err err;

    conf_rig_begin();
    snprintf(text, sizeof text, BASE "spool = %s\n", in_folder("spool"));
    write_text(text);
    must(spool_open(in_folder("spool"), &folder_fd, &err) == RESULT_OK, "spool");
    check_stop(EX_OK, "", "no worker");
    check_busy_worker();
    check_unseen_worker();
    check_refused_file();
    must(chmod(in_folder("spool"), 0755) == 0, "chmod");
    check_stop(EX_SOFTWARE, "is open to other users", "a spool that is open to others");
    unlinkat(folder_fd, SPOOL_STOPPED, 0);
    unlinkat(folder_fd, SPOOL_WORKER_LOCK, 0);
    rmdir(in_folder("spool"));
    return conf_rig_end();
}
