/*
 * SPDX-License-Identifier: ISC
 *
 * The monitor is the process that the front, systemd or a person started, and the responder is its child. It is the
 * monitor that stays outside of the confinement, since it starts workers; and that is there again when the responder
 * crashes, since under --listen nobody else would be. What must stay true: nothing that came from the net gets into the
 * monitor, so a responder that it forks is as new as the first; and it ends when the responder ends, since it holds the
 * listening socket, which the front waits for. When it is killed itself, the responder is told to end (PDEATHSIG).
 */
#include <config.h>

#include "intake/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/signals.h"
#include "intake/file_broker.h"
#include "intake/worker_start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define CHECK_MS 1000 /* how often the monitor looks for a missing worker or responder */

struct monitor {
    struct conf *conf;
    int (*serve)(struct conf *conf, int broker, void *context);
    void *context;
    struct worker_start *workers; /* NULL: none are started */
    pid_t responder;              /* 0: none runs */
    int broker;                   /* our end of the socket to it; -1: none */
    struct restart restart;       /* of responders that crashed */
    bool told;                    /* the responder was told to end */
    bool ended;
    int status;
};

/* The responder's life, in the child. */
__attribute__((noreturn)) static void become_responder(struct monitor *monitor, pid_t parent, int broker)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_NAME, "candhook.fcgi");
    if (getppid() != parent)
        _exit(0);
    if (monitor->workers != NULL)
        worker_start_close(monitor->workers);
    _exit(monitor->serve(monitor->conf, broker, monitor->context));
}

/* Forks a responder when none runs and the back-off allows. */
static void start_responder(struct monitor *monitor)
{
    pid_t self = getpid();
    int ends[2];

    if (monitor->responder != 0 || signals_stop_asked() || !restart_is_due(&monitor->restart, clock_monotonic_ms()))
        return;
    restart_note(&monitor->restart, clock_monotonic_ms());
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        log_error("responder=not_started reason=%s", strerror(errno));
        return;
    }
    monitor->responder = fork();
    if (monitor->responder == 0) {
        close(ends[0]);
        become_responder(monitor, self, ends[1]);
    }
    close(ends[1]);
    if (monitor->responder < 0) {
        log_error("responder=not_started reason=%s", strerror(errno));
        monitor->responder = 0;
        close(ends[0]);
        return;
    }
    monitor->broker = ends[0];
}

/* The responder has ended: with an exit status that is ours, too, or by a signal, and another one follows. */
static void note_responder_end(struct monitor *monitor, int status)
{
    close(monitor->broker);
    monitor->broker = -1;
    monitor->responder = 0;
    if (WIFSIGNALED(status) && !signals_stop_asked()) {
        log_error("responder=crashed signal=%d effect=\"requests that it had are not answered; another one starts\"",
                  WTERMSIG(status));
        return;
    }
    monitor->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    monitor->ended = true;
}

static void reap_children(struct monitor *monitor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) /* workers, too */
        if (pid == monitor->responder)
            note_responder_end(monitor, status);
}

/* Tells the responder to end, once; without one the monitor ends. */
static void pass_stop(struct monitor *monitor)
{
    if (!signals_stop_asked())
        return;
    if (monitor->responder == 0)
        monitor->ended = true;
    else if (!monitor->told)
        kill(monitor->responder, SIGTERM);
    monitor->told = true;
}

int monitor_run(struct conf *conf, bool starts_workers, int (*serve)(struct conf *conf, int broker, void *context),
                void *context)
{
    struct worker_start workers = {.conf = conf, .folder = -1, .lock_file = -1};
    struct monitor monitor = {.conf = conf,
                              .serve = serve,
                              .context = context,
                              .workers = starts_workers ? &workers : NULL,
                              .broker = -1,
                              .status = EX_OK};

    signals_catch();
    prctl(PR_SET_NAME, "candhook-monitor");
    while (!monitor.ended) {
        struct pollfd fd = {.events = POLLIN};

        start_responder(&monitor);
        if (starts_workers && !signals_stop_asked())
            worker_start_missing(&workers);
        fd.fd = monitor.broker;
        if (signals_poll(&fd, 1, CHECK_MS) > 0)
            file_broker_answer(monitor.broker, conf);
        reap_children(&monitor);
        pass_stop(&monitor);
    }
    return monitor.status;
}
