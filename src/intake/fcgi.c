/*
 * SPDX-License-Identifier: ISC
 *
 * The event loop of the responder: one process, one thread, many FastCGI connections. A round:
 *
 *     wait     until the listening socket or an open connection is readable
 *     take     what is pending, up to a limit: parameters, whole body; a request that fails its checks is answered now
 *     append   the bodies of the round to the spool: one write, one sync          <- from here on they are durable
 *     answer   them, and only then free or keep their connections
 *
 * Batches form by themselves: while one is synced, the next gathers in the sockets' queues. What must stay true:
 *
 * - libfcgi never accepts: it would block, and set no timeout on the new socket. We accept, and hand it ipcFd with
 *   keepConnection set; its listening socket is -1, so that its own accept fails at once.
 * - A peer can send half a request and pause. Each read has a timeout (SO_RCVTIMEO), and so have all reads of a round
 *   together (the timer, which interrupts a read; nothing more is taken in that round then). The body of a refused
 *   request is not waited for.
 * - Each round begins at another connection, so that none waits behind the busy ones.
 * - The end of a request is sent when both of its output streams are closed. FCGX_Finish_r comes after all answers of
 *   the round, since closing a connection may wait for the front.
 */
#include <config.h>

#include "intake/fcgi.h"

#include "base/memory.h"
#include "base/signals.h"
#include "intake/request.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 512               /* open at once, including idle ones; fewer when descriptors are scarce */
#define OTHER_DESCRIPTORS 32          /* that the rest of the program may need */
#define BATCH 256                     /* requests taken in a round, at most */
#define BATCH_BYTES (4 * 1024 * 1024) /* bodies taken in a round: no more once they have this size */
#define READ_SECONDS 5                /* timeout of one read */
#define DRAIN_MS 200                  /* timeout of one read whose bytes are discarded */
#define ROUND_SECONDS 10              /* for all reads of a round */
#define BACKLOG 1024

/* A slot for one connection of the front's. Never moved: libfcgi's streams point back into the request. */
struct connection {
    FCGX_Request request;       /* ipcFd < 0: the slot is free */
    unsigned last_round;        /* in which it was last used */
    enum request_status status; /* of the request that it carries in this round */
};

struct loop {
    struct intake *intake;
    int listener;
    unsigned round;
    struct connection connections[CONNECTIONS];
    size_t connection_limit; /* the number of them that may be used */
    struct pollfd fds[CONNECTIONS + 1];
    struct connection *taken[BATCH]; /* the requests of this round, answered or not */
    size_t taken_count;
    struct connection *waiting[BATCH];    /* those of them whose bodies are to be spooled, */
    struct segment_record records[BATCH]; /* the bodies, */
    const char *labels[BATCH];            /* and the labels of their secrets */
    size_t waiting_count;
    char *arena; /* the bodies' bytes: room for BATCH_BYTES and one body more; untouched pages cost nothing */
    size_t arena_size;
    size_t arena_used;
};

/* ---- the listening socket ---- */

bool fcgi_is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
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

enum result fcgi_listen(const char *path, int *listener, struct err *err)
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

/* ---- timeouts ---- */

static volatile sig_atomic_t round_is_over;

static void on_round_alarm(int number)
{
    (void)number;
    round_is_over = 1; /* and a read is interrupted */
}

/* From now on a blocking read is interrupted when SECONDS have passed, and each second after that. 0 ends this. */
static void limit_round(int seconds)
{
    struct itimerval timer = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds > 0 ? 1 : 0};

    round_is_over = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void limit_reads(int fd, int ms)
{
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* ---- one request ---- */

/*
 * Discards what a refused request has sent, so that the next bytes of a kept connection begin a request. Bytes that do
 * not come at once are not waited for: libfcgi closes the connection then.
 */
static void drain_request(struct loop *loop, FCGX_Request *request)
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

/* Reads and judges the body of a request. One that is to be spooled joins the batch. Returns the answer. */
static enum request_status take_body(struct loop *loop, struct connection *connection, const struct request_head *head,
                                     const char *label)
{
    FCGX_Request *request = &connection->request;
    const struct conf *conf = loop->intake->conf;
    char *bytes = loop->arena + loop->arena_used;
    struct request_body body = {.bytes = bytes};
    struct request_verdict verdict;
    size_t at = loop->waiting_count;

    body.length = (size_t)FCGX_GetStr(bytes, (int)conf->max_body + 1, request->in);
    body.broken = FCGX_GetError(request->in) != 0;
    verdict = request_judge_body(head, conf, &body);
    if (verdict.spool) {
        loop->records[at] =
            (struct segment_record){.flag = verdict.flag, .body = body.bytes, .body_length = body.length};
        uuid_new(loop->records[at].id);
        loop->labels[at] = label;
        loop->waiting[at] = connection;
        loop->waiting_count++;
        loop->arena_used += body.length;
    }
    return verdict.status;
}

static void answer_request(struct connection *connection)
{
    FCGX_Request *request = &connection->request;

    FCGX_PutS(request_answer(connection->status), request->out);
    FCGX_FClose(request->err);
    FCGX_FClose(request->out);
}

/* Takes the request that is pending on a connection. libfcgi closes the connection when it is not a request. */
static void take_request(struct loop *loop, struct connection *connection)
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
        drain_request(loop, request);
        answer_request(connection);
    }
    connection->last_round = loop->round;
    loop->taken[loop->taken_count++] = connection;
}

/* ---- connections ---- */

/* What a read of a connection would give. */
enum readable { READABLE_END = -1, READABLE_NOTHING, READABLE_BYTES };

static enum readable peek_connection(const struct connection *connection)
{
    char byte;
    ssize_t got = recv(connection->request.ipcFd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return READABLE_NOTHING;
    return got > 0 ? READABLE_BYTES : READABLE_END;
}

/* Like peek_connection(), but without a system call where poll's answer suffices: POLLIN alone, and the slot still
 * holds the connection that was polled. */
static enum readable peek_polled(const struct loop *loop, const struct connection *connection,
                                 const struct pollfd *polled)
{
    if (polled->revents == POLLIN && polled->fd == connection->request.ipcFd && connection->last_round != loop->round)
        return READABLE_BYTES;
    return peek_connection(connection);
}

/* Takes the request of a connection that has bytes; closes one at its end. */
static void serve_connection(struct loop *loop, struct connection *connection, enum readable readable)
{
    if (readable == READABLE_BYTES)
        take_request(loop, connection);
    else if (readable == READABLE_END)
        FCGX_Free(&connection->request, 1);
}

static bool batch_has_room(const struct loop *loop)
{
    return !round_is_over && loop->taken_count < BATCH && loop->arena_used < BATCH_BYTES;
}

/* Closes the connection that was idle longest, unless all carry a request of this round. Returns its slot, or NULL. */
static struct connection *close_longest_idle(struct loop *loop)
{
    struct connection *oldest = NULL;

    for (size_t i = 0; i < loop->connection_limit; i++) {
        struct connection *connection = &loop->connections[i];

        if (connection->request.ipcFd >= 0 && connection->last_round != loop->round &&
            (oldest == NULL || connection->last_round < oldest->last_round))
            oldest = connection;
    }
    if (oldest != NULL)
        FCGX_Free(&oldest->request, 1);
    return oldest;
}

/* Returns a slot for a new connection: a free one, or that of the longest idle connection, which is closed. NULL: there
 * is none in this round. */
static struct connection *free_slot(struct loop *loop)
{
    for (size_t i = 0; i < loop->connection_limit; i++)
        if (loop->connections[i].request.ipcFd < 0)
            return &loop->connections[i];
    return close_longest_idle(loop);
}

/* accept() lacks descriptors or memory: closes the longest-idle connection, or waits 100 ms when there is none. */
static void free_descriptor(struct loop *loop)
{
    if (close_longest_idle(loop) == NULL)
        signals_poll(NULL, 0, 100);
}

/* Accepts new connections. Another process may share the listening socket, so there may be none after all. */
static void serve_new(struct loop *loop)
{
    struct timeval limit = {.tv_sec = READ_SECONDS};
    struct connection *connection;

    while (batch_has_room(loop) && (connection = free_slot(loop)) != NULL) {
        int fd = accept4(loop->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                free_descriptor(loop);
            break;
        }
        limit_reads(fd, READ_SECONDS * 1000);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        connection->request.ipcFd = fd;
        connection->request.keepConnection = 1; /* or FCGX_Accept_r would close it and accept another */
        connection->last_round = loop->round;
        serve_connection(loop, connection, peek_connection(connection));
    }
}

/* Takes from COUNT polled connections, beginning at another one each round. */
static void serve_polled(struct loop *loop, struct connection *const *polled, size_t count)
{
    for (size_t i = 0; i < count && batch_has_room(loop); i++) {
        size_t at = (i + loop->round) % count;

        if (loop->fds[at + 1].revents != 0)
            serve_connection(loop, polled[at], peek_polled(loop, polled[at], &loop->fds[at + 1]));
    }
}

/* ---- a round ---- */

/* Takes the requests that are pending, and waits for one up to TIMEOUT_MS (-1: no limit). */
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
    limit_round(ROUND_SECONDS);
    /* New ones come first every other round, or busy connections could keep them out. */
    if (loop->fds[0].revents != 0 && loop->round % 2 == 0)
        serve_new(loop);
    serve_polled(loop, polled, count);
    if (loop->fds[0].revents != 0 && loop->round % 2 != 0)
        serve_new(loop);
    limit_round(0);
}

/* Makes the round's bodies durable, then answers them, then finishes all its requests. */
static void finish_round(struct loop *loop)
{
    bool durable =
        loop->waiting_count > 0 && intake_append(loop->intake, loop->records, loop->labels, loop->waiting_count);

    for (size_t i = 0; i < loop->waiting_count; i++) {
        if (!durable)
            loop->waiting[i]->status = STATUS_UNAVAILABLE;
        answer_request(loop->waiting[i]);
    }
    for (size_t i = 0; i < loop->taken_count; i++) {
        answer_counts_add(loop->intake->counts, (int)loop->taken[i]->status);
        FCGX_Finish_r(&loop->taken[i]->request);
    }
    if (loop->arena_used > BATCH_BYTES / 4)
        madvise(loop->arena, loop->arena_size, MADV_DONTNEED);
    loop->taken_count = loop->waiting_count = loop->arena_used = 0;
}

/* ---- the loop ---- */

/* Returns how many connections the limit on descriptors allows; the spool needs some of them. */
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

static enum result init_loop(struct loop *loop, struct err *err)
{
    struct sigaction action = {.sa_handler = on_round_alarm};

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

static void free_loop(struct loop *loop)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (loop->connections[i].request.ipcFd >= 0)
            FCGX_Free(&loop->connections[i].request, 1);
    if (loop->arena != NULL)
        munmap(loop->arena, loop->arena_size);
    free(loop);
}

enum result fcgi_serve(struct intake *intake, int listener, struct err *err)
{
    struct loop *loop = memory_new(1, sizeof *loop);
    enum result result;

    loop->intake = intake;
    loop->listener = listener;
    result = init_loop(loop, err);
    while (result == RESULT_OK && !signals_stop_asked()) {
        take_round(loop, intake_run_due(intake));
        finish_round(loop);
    }
    if (result == RESULT_OK) {
        take_round(loop, 0); /* the requests that had come before the signal */
        finish_round(loop);
    }
    free_loop(loop);
    return result;
}
