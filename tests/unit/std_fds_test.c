/*
 * SPDX-License-Identifier: ISC
 *
 * Descriptors that a child is not to have. closelog is faked: glibc's syslog() would go on writing to the number of its
 * socket, whatever has got it since.
 */
#include <config.h>

#include "base/std_fds.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "tap.h"

static int closed_log, open_then;

void closelog(void)
{
    closed_log++;
    open_then = fcntl(7, F_GETFD) >= 0;
}

int main(void)
{
    int status = 0;
    pid_t child;

    dup2(0, 7);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        std_fds_close_others(4);
        _exit((closed_log == 1 && open_then) << 1 | (fcntl(7, F_GETFD) < 0 && fcntl(2, F_GETFD) >= 0));
    }
    ok(child > 0 && waitpid(child, &status, 0) == child, "a child");
    ok(WIFEXITED(status) && (WEXITSTATUS(status) & 1), "has the standard descriptors and no others");
    ok(WIFEXITED(status) && (WEXITSTATUS(status) & 2), "and syslog is told before its socket goes");
    return done();
}
