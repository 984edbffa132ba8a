/*
 * SPDX-License-Identifier: ISC
 *
 * The responder's loop when system calls fail: each one in turn, once or several in a row. A request is answered 200
 * only when its body is in the spool, which then holds it once; one that is not answered is there at most once; no
 * request hangs; and as soon as the failure has passed, the same process takes the next event.
 */
#include <config.h>

#include "base/listener.h"
#include "intake/fcgi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "spool_rig.h"
#include "spool_wraps.h"
#include "tap.h"

#define SECRET "a-secret-of-the-unit-test_0123456789"
#define REQUESTS 5
#define IN_A_ROW 6 /* so many calls fail when it is not one */

/* Shared with the responder, which is a child. */
static struct intake_fault {
    int at;    /* the call that fails, from 1; 0: none */
    int count; /* so many of them */
    int error;
    int steps;     /* calls so far */
    char name[16]; /* of the first call that failed */
} * fault;

/* Whether this call fails, with errno. */
static bool call_fails(const char *name)
{
    int step = ++fault->steps;

    if (fault->at == 0 || step < fault->at || step >= fault->at + fault->count)
        return false;
    if (step == fault->at)
        snprintf(fault->name, sizeof fault->name, "%s", name);
    errno = fault->error;
    return true;
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
ssize_t __real_recv(int fd, void *to, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t size, int flags);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *signals);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *signals);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return call_fails("accept4") ? -1 : __real_accept4(fd, address, size, flags);
}

ssize_t __wrap_recv(int fd, void *to, size_t size, int flags)
{
    return call_fails("recv") ? -1 : __real_recv(fd, to, size, flags);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    return call_fails("memfd_create") ? -1 : __real_memfd_create(name, flags);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    return call_fails("lseek") ? -1 : __real_lseek(fd, offset, whence);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *signals)
{
    return call_fails("ppoll") ? -1 : __real_ppoll(fds, count, timeout, signals);
}

int __wrap_openat(int folder, const char *name, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return call_fails("openat") ? -1 : __real_openat(folder, name, flags, mode);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return call_fails("pwrite") ? -1 : __real_pwrite(fd, bytes, length, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return call_fails("pwritev") ? -1 : __real_pwritev(fd, parts, count, offset);
}

int __wrap_fdatasync(int fd)
{
    return call_fails("fdatasync") ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return call_fails("fsync") ? -1 : __real_fsync(fd);
}

int __wrap_ftruncate(int fd, off_t length)
{
    return call_fails("ftruncate") ? -1 : __real_ftruncate(fd, length);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    return call_fails("renameat") ? -1 : __real_renameat(from, old, to, new);
}

int __wrap_fstatvfs(int fd, struct statvfs *fs)
{
    return call_fails("fstatvfs") ? -1 : __real_fstatvfs(fd, fs);
}

/* ---- the responder ---- */

static char socket_path[100], secrets_path[160];

static pid_t start_responder(const struct rig *rig, int listener)
{
    struct conf conf = {.path = secrets_path,
                        .spool = (char *)(uintptr_t)rig->path,
                        .url_secrets = secrets_path,
                        .max_body = 65536,
                        .min_free = 1};
    struct intake intake;
    struct err err;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (freopen("/dev/null", "w", stderr) == NULL || intake_open(&intake, &conf, &err) != RESULT_OK)
        _exit(99);
    fault->steps = 0;
    fcgi_serve(&intake, listener);
    fault->at = 0;
    intake_close(&intake);
    _exit(0);
}

/* ---- requests ---- */

static size_t put_record(uint8_t *to, int type, const void *content, size_t size)
{
    const uint8_t header[8] = {1, (uint8_t)type, 0, 1, 0, (uint8_t)size};

    memcpy(to, header, sizeof header);
    memcpy(to + 8, content, size);
    return 8 + size;
}

/* The event with this number. Returns the length of the request. */
static size_t put_request(uint8_t *to, int number)
{
    char pairs[200], body[40];
    int body_length = snprintf(body, sizeof body, "{\"n\":%d}", number);
    int pairs_length = snprintf(pairs, sizeof pairs, "%c%cREQUEST_METHODPOST%c%cREQUEST_URI/%s", 14, 4, 11,
                                1 + (int)strlen(SECRET), SECRET);
    size_t length = put_record(to, 1, "\0\1\0\0\0\0\0\0", 8);

    length += put_record(to + length, 4, pairs, (size_t)pairs_length);
    length += put_record(to + length, 4, "", 0);
    length += put_record(to + length, 5, body, (size_t)body_length);
    return length + put_record(to + length, 5, "", 0);
}

/* Waits for the answer or the end of the connection. Returns the status, 0 without one, -1 when nothing comes in time.
 */
static int read_status(int fd)
{
    char answer[4096] = "";
    size_t length = 0;
    ssize_t got;
    const char *status;

    do {
        struct pollfd polled = {.fd = fd, .events = POLLIN};

        if (poll(&polled, 1, 20000) <= 0)
            return -1;
        got = read(fd, answer + length, sizeof answer - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0 && length < sizeof answer - 1);
    status = memmem(answer, length, "Status: ", 8);
    return status != NULL ? atoi(status + 8) : 0;
}

/* Sends a request; in two pieces when CUT is not 0, which the responder sees one at a time or both at once. */
static int post_event(int number, size_t cut)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status, before = fault->steps;
    uint8_t bytes[512];
    size_t length = put_request(bytes, number), first = cut > 0 && cut < length ? cut : length;

    strcpy(address.sun_path, socket_path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        exit(99);
    (void)!send(fd, bytes, first, MSG_NOSIGNAL);
    /* Accepted, looked at, collected, and again in poll. */
    for (int i = 0; first < length && i < 200 && fault->steps < before + 5; i++)
        poll(NULL, 0, 1);
    if (first < length)
        (void)!send(fd, bytes + first, length - first, MSG_NOSIGNAL);
    status = read_status(fd);
    close(fd);
    return status;
}

/* ---- a run ---- */

/* Whether the spool holds each event that was answered 200 once, and any other at most once. */
static bool spool_is_exact(const struct rig *rig, const int *statuses, int count)
{
    struct rig_database database = {0};
    struct spool_reader *reader = spool_reader_new(rig->folder, 0, rig_position, &database);
    const struct spool_batch *batch;
    int seen[REQUESTS + 1] = {0};
    bool exact = true;

    while ((batch = rig_next(reader, 100, 1 << 20)) != NULL && batch->position_count > 0) {
        for (size_t i = 0; i < batch->count; i++) {
            char text[40] = "";
            int number = -1;

            memcpy(text, batch->records[i].body,
                   batch->records[i].body_length < 39 ? batch->records[i].body_length : 39);
            exact &= sscanf(text, "{\"n\":%d}", &number) == 1 && number >= 0 && number < count;
            if (exact)
                seen[number]++;
        }
        rig_settle(reader, &database, batch);
    }
    for (int i = 0; i < count; i++)
        exact &= seen[i] <= 1 && (statuses[i] != 200 || seen[i] == 1);
    spool_reader_free(reader);
    rig_database_free(&database);
    return exact && batch != NULL;
}

/* Runs the requests while calls fail. Returns false when there are fewer calls. */
static bool run_with_fault(int at, int count, int error)
{
    static const size_t cuts[REQUESTS] = {0, 5, 60, 0, 110};
    int statuses[REQUESTS + 1], listener, end;
    bool none_hangs = true, reached;
    struct err err;
    struct rig rig;
    pid_t pid;

    rig_open(&rig);
    snprintf(socket_path, sizeof socket_path, "%.80s/socket", rig.top);
    snprintf(secrets_path, sizeof secrets_path, "%s/secrets", rig.top);
    rig_write(&rig, "../secrets", (const uint8_t *)SECRET "\n", sizeof SECRET);
    if (listener_open(socket_path, &listener, &err) != RESULT_OK)
        exit(99);
    *fault = (struct intake_fault){.at = at, .count = count, .error = error};
    pid = start_responder(&rig, listener);
    for (int i = 0; i < REQUESTS; i++) {
        statuses[i] = post_event(i, cuts[i]);
        none_hangs &= statuses[i] != -1;
    }
    reached = fault->name[0] != '\0';
    fault->at = 0;
    statuses[REQUESTS] = post_event(REQUESTS, 0);
    kill(pid, SIGTERM);
    end = rig_wait(pid);
    if (reached)
        ok(none_hangs && statuses[REQUESTS] == 200 && end == 0 && spool_is_exact(&rig, statuses, REQUESTS + 1),
           "call %d (%s) and %d more fail with %s: %d %d %d %d %d, then %d, and the end is %d", at, fault->name,
           count - 1, strerrorname_np(error), statuses[0], statuses[1], statuses[2], statuses[3], statuses[4],
           statuses[REQUESTS], end);
    close(listener);
    unlink(socket_path);
    unlink(secrets_path);
    rig_close(&rig);
    return reached;
}

int main(void)
{
    static const int errors[] = {EINTR, EIO, EMFILE};
    int at;

    fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fault == MAP_FAILED)
        return 99;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        for (at = 1; run_with_fault(at, 1, errors[i]); at++)
            run_with_fault(at, IN_A_ROW, errors[i]);
        ok(at > 40, "there were enough calls");
    }
    return done();
}
