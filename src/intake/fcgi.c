/*
 * SPDX-License-Identifier: ISC
 *
 * The event loop of the responder: one process, one thread, many FastCGI connections. A round of it:
 *
 *     wait   until the listening socket or a kept connection is readable
 *     take   what is pending, up to a bound: parameters, whole body; what fails its checks is answered at once
 *     keep   all bodies of the round: one append, one sync          <- from here on they are safe
 *     answer all of them, and only then free or keep their connections
 *
 * Batches come by themselves: while one is synced, the next gathers in the sockets' queues. What must stay true:
 * - libfcgi never accepts: it would block, and set no time limit on the new socket. We accept, and hand it ipcFd with
 *   keepConnection set; its listening socket is -1, so that its own accept fails at once.
 * - A peer can send half a request and pause. Each read has a limit (SO_RCVTIMEO) and a round has one (the timer, which
 *   interrupts a read; nothing more is taken in that round then). Nobody waits for the body of a refused request.
 * - Connections are looked at in turn, beginning at another one each round, so that none waits behind the busy ones.
 * - The end of a request goes out when both of its output streams are closed; FCGX_Finish_r comes after all of these,
 *   since closing a connection may wait for the front.
 */
#include <config.h>

#include "intake/fcgi.h"

#include "base/log.h"
#include "base/signals.h"
#include "intake/request.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS 512               /* open at once, idle ones included; fewer when descriptors are scarce */
#define OTHER_DESCRIPTORS 32          /* that the rest of the program may need */
#define BATCH 256                     /* requests taken in a round */
#define BATCH_BYTES (4 * 1024 * 1024) /* of bodies taken in a round */
#define READ_SECONDS 5                /* for one read */
#define DRAIN_MS 200                  /* for one read of what is only forgotten */
#define ROUND_SECONDS 10              /* for all reads of a round */
#define BACKLOG 1024

/* One connection of the front's. Never moved: libfcgi's streams point back into the request. */
struct connection {
    FCGX_Request request; /* ipcFd < 0: this one is not in use */
    unsigned last_round;  /* in which it was last used */
    enum status status;   /* of the request that it carries in this round */
};

struct loop {
    struct intake *intake;
    int listener;
    unsigned round;
    struct connection connections[CONNECTIONS];
    size_t connection_limit; /* of them, those that may be used */
    struct pollfd fds[CONNECTIONS + 1];
    struct connection *taken[BATCH]; /* of this round, answered or not */
    size_t taken_count;
    struct connection *waiting[BATCH];    /* of them, those whose bodies the spool is to keep, */
    struct segment_record records[BATCH]; /* and the bodies */
    size_t waiting_count;
    char *arena; /* of this round's bodies: BATCH_BYTES and one body more; untouched pages cost nothing */
    size_t arena_size;
    size_t arena_used;
};

int fcgi_is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

/* Whether the socket at the address is a leftover of a program that ended: only then a connection is refused. */
static int is_leftover(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return refused;
}

enum result fcgi_listen(const char *path, int *listener, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    mode_t mask;
    int fd, bound;

    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, "the socket's path has %zu bytes, a unix socket's holds at most %zu: %s", strlen(path),
                sizeof address.sun_path - 1, path);
        return RESULT_FAIL;
    }
    strcpy(address.sun_path, path);
    if (lstat(path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            err_set(err, "%s is there and is no socket", path);
            return RESULT_FAIL;
        }
        if (!is_leftover(&address)) {
            err_set(err, "another program may be listening on %s", path);
            return RESULT_FAIL;
        }
        unlink(path);
    }
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

static volatile sig_atomic_t round_is_over;

static void on_alarm(int number)
{
    (void)number;
    round_is_over = 1; /* and a read is interrupted */
}

/* From now on a read that blocks is interrupted when the round has used up its time, and each second after that. */
static void round_limit(int seconds)
{
    struct itimerval timer = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds ? 1 : 0};

    round_is_over = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* What a read of the connection would meet: 1 bytes, 0 nothing yet, -1 its end. */
static int peek(const struct connection *connection)
{
    char byte;
    ssize_t got = recv(connection->request.ipcFd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return got > 0 ? 1 : -1;
}

static void limit_reads(int fd, int ms)
{
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/*
 * Reads and forgets what a refused request has sent, so that a kept connection is at a request's start again. What does
 * not come at once is not waited for: libfcgi closes the connection then.
 */
static void drain(struct loop *loop, FCGX_Request *request)
{
    size_t room = loop->arena_size - loop->arena_used;
    int reads = 16;

    limit_reads(request->ipcFd, DRAIN_MS);
    while (reads-- > 0 && FCGX_GetStr(loop->arena + loop->arena_used, (int)room, request->in) == (int)room)
        ;
    if (reads < 0)
        request->keepConnection = 0;
    limit_reads(request->ipcFd, READ_SECONDS * 1000);
}

/* Reads the body of a request that may be taken, and puts it into the batch. */
static enum status take_body(struct loop *loop, struct connection *connection, const struct request_head *head,
                             const char *label)
{
    FCGX_Request *request = &connection->request;
    char *body = loop->arena + loop->arena_used;
    int length = FCGX_GetStr(body, (int)loop->intake->conf->max_body + 1, request->in);
    int spool;
    enum segment_flag flag;
    enum status status = request_judge_body(head, loop->intake->conf, body, (size_t)length,
                                            FCGX_GetError(request->in) != 0, &spool, &flag);

    if (spool) {
        struct segment_record *record = &loop->records[loop->waiting_count];

        uuid_new(record->id);
        record->flag = flag;
        record->label = label;
        record->label_length = strlen(label);
        record->body = body;
        record->body_length = (size_t)length;
        loop->arena_used += (size_t)length;
        loop->waiting[loop->waiting_count++] = connection;
    }
    return status;
}

static void answer(struct connection *connection)
{
    FCGX_Request *request = &connection->request;

    FCGX_PutS(request_answer(connection->status), request->out);
    FCGX_FClose(request->err);
    FCGX_FClose(request->out);
}

/* Takes the request that waits on a connection. libfcgi closes the connection when it is no request after all. */
static void take(struct loop *loop, struct connection *connection)
{
    FCGX_Request *request = &connection->request;
    struct request_head head;
    const char *label;
    size_t waiting = loop->waiting_count;

    if (FCGX_Accept_r(request) != 0)
        return;
    head.method = FCGX_GetParam("REQUEST_METHOD", request->envp);
    head.uri = FCGX_GetParam("REQUEST_URI", request->envp);
    head.content_length = FCGX_GetParam("CONTENT_LENGTH", request->envp);
    head.document_root = FCGX_GetParam("DOCUMENT_ROOT", request->envp);
    connection->status = request_judge_head(&head, loop->intake->conf, loop->intake->secrets, &label);
    if (connection->status == STATUS_NONE)
        connection->status = take_body(loop, connection, &head, label);
    if (loop->waiting_count == waiting) {
        drain(loop, request);
        answer(connection);
    }
    connection->last_round = loop->round;
    loop->taken[loop->taken_count++] = connection;
}

static int batch_has_room(const struct loop *loop)
{
    return !round_is_over && loop->taken_count < BATCH && loop->arena_used < BATCH_BYTES;
}

/* Takes the request of a connection of which bytes (> 0) were found; one at its end (< 0) is closed. */
static void look_at(struct loop *loop, struct connection *connection, int found)
{
    if (found > 0)
        take(loop, connection);
    else if (found < 0)
        FCGX_Free(&connection->request, 1);
}

/* The connection that was idle longest and carries no request of this round, or NULL. */
static struct connection *longest_idle(struct loop *loop)
{
    struct connection *oldest = NULL;

    for (size_t i = 0; i < loop->connection_limit; i++) {
        struct connection *connection = &loop->connections[i];

        if (connection->request.ipcFd >= 0 && connection->last_round != loop->round &&
            (oldest == NULL || connection->last_round < oldest->last_round))
            oldest = connection;
    }
    return oldest;
}

/* A place for one more connection: a free one, or that of the longest idle one, which is closed. NULL: none in this
 * round. */
static struct connection *free_place(struct loop *loop)
{
    struct connection *oldest;

    for (size_t i = 0; i < loop->connection_limit; i++)
        if (loop->connections[i].request.ipcFd < 0)
            return &loop->connections[i];
    oldest = longest_idle(loop);
    if (oldest != NULL)
        FCGX_Free(&oldest->request, 1);
    return oldest;
}

/* The system has no descriptor or memory for another connection: gives one back, and time to others. */
static void make_do(struct loop *loop)
{
    struct connection *oldest = longest_idle(loop);

    if (oldest != NULL)
        FCGX_Free(&oldest->request, 1);
    else
        signals_poll(NULL, 0, 100);
}

/* Accepts what waits. Another process may share the listening socket, so it can be empty after all. */
static void take_from_new(struct loop *loop)
{
    struct timeval limit = {.tv_sec = READ_SECONDS};
    struct connection *connection;

    while (batch_has_room(loop) && (connection = free_place(loop)) != NULL) {
        int fd = accept4(loop->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                make_do(loop);
            break;
        }
        limit_reads(fd, READ_SECONDS * 1000);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        connection->request.ipcFd = fd;
        connection->request.keepConnection = 1; /* or FCGX_Accept_r would close it and accept another */
        connection->last_round = loop->round;
        look_at(loop, connection, peek(connection));
    }
}

/*
 * The same for a connection that was polled, mostly without a system call: a peer that is done may have sent a request
 * before, and another connection may have got this place in this round.
 */
static int find(const struct loop *loop, const struct connection *connection, const struct pollfd *polled)
{
    if (polled->revents == POLLIN && polled->fd == connection->request.ipcFd && connection->last_round != loop->round)
        return 1;
    return peek(connection);
}

/* Takes from COUNT polled connections, beginning at another one each round. */
static void take_from_open(struct loop *loop, struct connection *const *polled, size_t count)
{
    for (size_t i = 0; i < count && batch_has_room(loop); i++) {
        size_t at = (i + loop->round) % count;

        if (loop->fds[at + 1].revents != 0)
            look_at(loop, polled[at], find(loop, polled[at], &loop->fds[at + 1]));
    }
}

/* Takes what is pending, and waits for it up to TIMEOUT_MS. */
static void take_round(struct loop *loop, int timeout_ms)
{
    struct connection *polled[CONNECTIONS];
    size_t count = 0;

    for (size_t i = 0; i < loop->connection_limit; i++) {
        if (loop->connections[i].request.ipcFd < 0)
            continue;
        loop->fds[count + 1] = (struct pollfd){.fd = loop->connections[i].request.ipcFd, .events = POLLIN | POLLRDHUP};
        polled[count++] = &loop->connections[i];
    }
    loop->fds[0] = (struct pollfd){.fd = loop->listener, .events = POLLIN};
    if (signals_poll(loop->fds, count + 1, timeout_ms) <= 0)
        return;
    loop->round++;
    intake_refresh(loop->intake);
    round_limit(ROUND_SECONDS);
    /* The new ones first, every other round, or busy connections could keep them out. */
    if (loop->fds[0].revents != 0 && loop->round % 2 == 0)
        take_from_new(loop);
    take_from_open(loop, polled, count);
    if (loop->fds[0].revents != 0 && loop->round % 2 != 0)
        take_from_new(loop);
    round_limit(0);
}

/* Makes the round's bodies durable, then answers for them, then lets go of all its requests. */
static void finish_round(struct loop *loop)
{
    int kept = loop->waiting_count > 0 && intake_keep(loop->intake, loop->records, loop->waiting_count);

    for (size_t i = 0; i < loop->waiting_count; i++) {
        if (!kept)
            loop->waiting[i]->status = STATUS_UNAVAILABLE;
        answer(loop->waiting[i]);
    }
    for (size_t i = 0; i < loop->taken_count; i++) {
        answer_counts_add(loop->intake->counts, (int)loop->taken[i]->status);
        FCGX_Finish_r(&loop->taken[i]->request);
    }
    if (loop->arena_used > BATCH_BYTES / 4)
        madvise(loop->arena, loop->arena_size, MADV_DONTNEED);
    loop->taken_count = loop->waiting_count = loop->arena_used = 0;
}

/* As many connections as descriptors allow, of which the spool needs some. */
static size_t find_connection_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return CONNECTIONS;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur >= CONNECTIONS + OTHER_DESCRIPTORS)
        return CONNECTIONS;
    return files.rlim_cur > 2 * OTHER_DESCRIPTORS ? files.rlim_cur - OTHER_DESCRIPTORS : files.rlim_cur / 2;
}

/* Whether the helper, our only child, ended: without it nobody would start a worker. */
static int helper_ended(void)
{
    if (waitpid(-1, NULL, WNOHANG) <= 0)
        return 0;
    log_error("helper=ended effect=\"the responder ends too, to be started again with a new one\"");
    return 1;
}

static enum result loop_init(struct loop *loop, struct err *err)
{
    struct sigaction action = {.sa_handler = on_alarm};

    setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1); /* or each close may wait 2 s for the front */
    if (FCGX_Init() != 0) {
        err_set(err, "libfcgi does not start");
        return RESULT_FAIL;
    }
    signals_catch(); /* after FCGX_Init, which catches signals of its own */
    sigaction(SIGALRM, &action, NULL);
    loop->connection_limit = find_connection_limit();
    for (size_t i = 0; i < CONNECTIONS; i++)
        FCGX_InitRequest(&loop->connections[i].request, -1, 0);
    loop->arena_size = BATCH_BYTES + loop->intake->conf->max_body + 1;
    loop->arena = mmap(NULL, loop->arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (loop->arena == MAP_FAILED)
        abort();
    if (fcntl(loop->listener, F_SETFL, fcntl(loop->listener, F_GETFL) | O_NONBLOCK) < 0) {
        err_set_errno(err, "cannot use the listening socket");
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

enum result fcgi_serve(struct intake *intake, int listener, struct err *err)
{
    struct loop *loop = calloc(1, sizeof *loop);
    enum result result;

    if (loop == NULL)
        abort();
    loop->intake = intake;
    loop->listener = listener;
    result = loop_init(loop, err);
    while (result == RESULT_OK && !signals_stop_asked() && !helper_ended()) {
        take_round(loop, intake_tend(intake));
        finish_round(loop);
    }
    if (result == RESULT_OK) {
        take_round(loop, 0); /* what had come before we were told to end */
        finish_round(loop);
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (loop->connections[i].request.ipcFd >= 0)
            FCGX_Free(&loop->connections[i].request, 1);
    if (loop->arena != NULL)
        munmap(loop->arena, loop->arena_size);
    free(loop);
    return result;
}
