/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_asked;
static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
static const size_t stop_signal_count = sizeof stop_signals / sizeof *stop_signals;

static void on_stop_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void on_child_signal(int number)
{
    (void)number; /* only wakes signals_poll; the children are reaped in the loop */
}

static void set_signal_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void signals_catch(void)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < stop_signal_count; i++) {
        set_signal_handler(stop_signals[i], on_stop_signal);
        sigaddset(&blocked, stop_signals[i]);
    }
    set_signal_handler(SIGCHLD, on_child_signal);
    sigaddset(&blocked, SIGCHLD);
    set_signal_handler(SIGPIPE, SIG_IGN);
    set_signal_handler(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

void signals_reset(void)
{
    sigset_t none;

    for (size_t i = 0; i < stop_signal_count; i++)
        set_signal_handler(stop_signals[i], SIG_DFL);
    set_signal_handler(SIGCHLD, SIG_DFL);
    set_signal_handler(SIGPIPE, SIG_DFL);
    set_signal_handler(SIGXFSZ, SIG_DFL);
    set_signal_handler(SIGALRM, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    sigset_t waiting;

    sigprocmask(SIG_BLOCK, NULL, &waiting);
    for (size_t i = 0; i < stop_signal_count; i++)
        sigdelset(&waiting, stop_signals[i]);
    sigdelset(&waiting, SIGCHLD);
    return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, &waiting);
}

bool signals_stop_asked(void)
{
    return stop_asked;
}
