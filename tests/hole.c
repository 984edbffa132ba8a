/*
 * SPDX-License-Identifier: ISC
 *
 * For tests/confine.t: candhook.fcgi with a hole. A request for /hole/WHAT/PATH makes the process that answers try what
 * a stranger would try who had taken it over, and log how that ended. All else is the real program.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/secrets.h"

const char *__real_secrets_match(const struct secrets *secrets, const char *uri);
const char *__wrap_secrets_match(const struct secrets *secrets, const char *uri);

static int try_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (const struct sockaddr *)&to, sizeof to);
}

static int try_tcp(const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)path;
    to.sin_port = htons(9);
    return connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&to, sizeof to) < 0 &&
                   errno != ECONNREFUSED
               ? -1
               : 0;
}

static int try_read(const char *path)
{
    return open(path, O_RDONLY);
}

static int try_write(const char *path)
{
    return open(path, O_WRONLY | O_CREAT, 0600);
}

/* In a child where one can be had; else this process would be gone when it succeeds. */
static int try_exec(const char *path)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL}, *environment[] = {NULL};
    pid_t child = fork();

    if (child > 0)
        return 0;
    if (child == 0) {
        execve(path, argv, environment);
        _exit(1);
    }
    return execve(path, argv, environment);
}

static int try_ptrace(const char *path)
{
    (void)path;
    return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int try_kill(const char *path)
{
    (void)path;
    return kill(getppid(), 0);
}

static int try_code(const char *path)
{
    (void)path;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                                                  : 0;
}

static const struct {
    const char *name;
    int (*run)(const char *path);
} attempts[] = {{"read", try_read}, {"write", try_write},   {"unix", try_unix}, {"tcp", try_tcp},
                {"exec", try_exec}, {"ptrace", try_ptrace}, {"kill", try_kill}, {"code", try_code}};

const char *__wrap_secrets_match(const struct secrets *secrets, const char *uri)
{
    char what[16] = "", path[256] = "";

    if (sscanf(uri, "/hole/%15[a-z]%255s", what, path) < 1)
        return __real_secrets_match(secrets, uri);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        if (strcmp(attempts[i].name, what) == 0) {
            int result = attempts[i].run(path);

            log_warning("hole=%s path=%s result=%s", what, path, result < 0 ? "denied" : "done");
        }
    return NULL;
}
