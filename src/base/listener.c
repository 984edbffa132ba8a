/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "base/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

bool listener_is_one(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

/* Returns the listening socket that systemd passes: descriptor 3, if it is meant for this process; else -1. */
static int systemd_listener(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    bool passed = pid != NULL && count != NULL && atol(pid) == (long)getpid() && atoi(count) > 0;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!passed || !listener_is_one(3))
        return -1;
    fcntl(3, F_SETFD, FD_CLOEXEC);
    return 3;
}

int listener_inherited(void)
{
    int listener = systemd_listener();

    close_range(listener == 3 ? 4 : 3, ~0U, 0);
    if (listener < 0 && listener_is_one(0))
        listener = 0;
    return listener;
}

/* Whether no process listens on the socket at the address: only then a connection is refused. */
static bool is_leftover_socket(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return refused;
}

/* Removes a socket that another process left at the address. */
static enum result remove_leftover_socket(const struct sockaddr_un *address, struct err *err)
{
    const char *path = address->sun_path;
    struct stat st;

    if (lstat(path, &st) != 0)
        return RESULT_OK;
    if (!S_ISSOCK(st.st_mode)) {
        err_set(err, "%s exists and is not a socket", path);
        return RESULT_FAIL;
    }
    if (!is_leftover_socket(address)) {
        err_set(err, "another program may be listening on %s", path);
        return RESULT_FAIL;
    }
    unlink(path);
    return RESULT_OK;
}

enum result listener_open(const char *path, int *listener, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    bool bound;
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, "a unix socket's path has at most %zu bytes, this one has %zu: %s", sizeof address.sun_path - 1,
                strlen(path), path);
        return RESULT_FAIL;
    }
    strcpy(address.sun_path, path);
    if (remove_leftover_socket(&address, err) != RESULT_OK)
        return RESULT_FAIL;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mask = umask(0117);
    bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0;
    umask(mask);
    if (!bound) {
        err_set_errno(err, "cannot listen on %s", path);
        if (fd >= 0)
            close(fd);
        return RESULT_FAIL;
    }
    *listener = fd;
    return RESULT_OK;
}
