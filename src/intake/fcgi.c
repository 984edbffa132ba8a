/*
 * SPDX-License-Identifier: ISC
 *
 * The event loop of the responder: one process, one thread, many FastCGI connections. A round:
 *
 *     wait     until the listening socket or an open connection is readable, or a deadline is over
 *     take     what is whole, up to a limit: parameters and body; a request that fails its checks is answered now
 *     append   the bodies of the round to the spool: one write, one sync          <- from here on they are durable
 *     answer   them, and only then free or keep their connections
 *
 * Batches form by themselves: while one is synced, the next gathers in the sockets' queues. What must stay true:
 *
 * - Nothing waits for a peer but poll. libfcgi reads only what is there, and only what fcgi_check.c found to be a
 * request. Most requests are seen whole in the socket's queue, and libfcgi reads them from there. One that is not is
 * collected in memory; libfcgi then reads it from a file in memory, and answers on the socket (ipcFd is changed between
 * the two).
 * - A stranger's body is not collected: as soon as the parameters are there, the request is judged, and refused.
 * - libfcgi never accepts: it would block. We accept, and hand it ipcFd with keepConnection set; its listening socket
 * is -1, so that its own accept fails at once. Nor does it close: it would read on for as long as the peer sends.
 * - A connection that is closed while it holds unread bytes is reset, and the answer may be lost. So one that was
 * answered early lingers: what comes is discarded until the peer closes, or for a while.
 * - Each round begins at another connection, so that none waits behind the busy ones.
 * - The end of a request is sent when both of its output streams are closed.
 * - No connection that carries a request is closed for want of slots or descriptors: new ones wait in the backlog.
 */
#include <config.h>

#include "intake/fcgi.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "intake/fcgi_check.h"
#include "intake/request.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 512               /* open at once, including idle ones; fewer when descriptors are scarce */
#define OTHER_DESCRIPTORS 32          /* that the rest of the program may need */
#define BATCH 256                     /* requests taken in a round, at most */
#define BATCH_BYTES (4 * 1024 * 1024) /* bodies taken in a round: no more once they have this size */
#define QUEUE_BYTES (64 * 1024)       /* a request up to this size may be read by libfcgi straight from the socket */
#define PAUSE_MS 5000                 /* between two pieces of a request */
#define REQUEST_MS 30000              /* for a whole request */
#define LINGER_MS 2000                /* until a refused peer must have closed */
#define IDLE_MS 1000                  /* a connection without a request may be closed after this time */
#define REST_MS 100                   /* that new connections wait when there is no room, unless one is closed */

enum connection_state {
    CONNECTION_IDLE,       /* no byte of a request has come */
    CONNECTION_COLLECTING, /* a part of a request has come, and is in BYTES */
    CONNECTION_TAKEN,      /* libfcgi has the request; it is answered in this round */
    CONNECTION_LINGERING,  /* the answer is sent before the request was whole; the rest is discarded */
};

/* A slot for one connection of the front's. Never moved: libfcgi's streams point back into the request. */
struct connection {
    FCGX_Request request;
    int fd; /* -1: the slot is free */
    enum connection_state state;
    int64_t since_ms;           /* when the state began */
    int64_t heard_ms;           /* when the last bytes were collected */
    struct fcgi_check check;    /* of what is collected */
    uint8_t *bytes;             /* NULL: nothing is collected */
    size_t length, room;        /* of BYTES: used, allocated */
    bool accepted;              /* the parameters are judged: the body is wanted */
    bool unread;                /* the peer may send more than was read: */
    bool goes_on;               /* the rest of this request, behind what was collected */
    enum request_status status; /* of the request that is taken */
};

struct loop {
    struct intake *intake;
    int listener;
    int feed; /* the file in memory from which libfcgi reads what was collected; -1: not yet made */
    unsigned round;
    int64_t now_ms;     /* when the round began */
    int64_t deadline;   /* the first one of all connections */
    int64_t rest_until; /* no connection is accepted before this time */
    bool ending;        /* none is accepted any more */
    struct connection connections[CONNECTIONS];
    size_t connection_limit; /* the number of them that may be used */
    size_t connection_end;   /* behind the last one that is open */
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
    uint8_t queued[QUEUE_BYTES]; /* what is in the queue of the connection that is served, or was discarded */
};

/* ---- connections ---- */

static void set_state(const struct loop *loop, struct connection *connection, enum connection_state state)
{
    connection->state = state;
    connection->since_ms = loop->now_ms;
}

/* Forgets what was collected. */
static void forget_collected(struct connection *connection)
{
    free(connection->bytes);
    connection->bytes = NULL;
    connection->length = connection->room = 0;
    connection->accepted = connection->unread = connection->goes_on = false;
}

/* Closes the connection, so that there is room for a new one. */
static void close_connection(struct loop *loop, struct connection *connection)
{
    forget_collected(connection);
    close(connection->fd);
    connection->fd = -1;
    loop->rest_until = 0;
}

/* Discards what still comes, until the request is at its end if the connection is KEPT, else until the peer closes. */
static void linger_connection(struct loop *loop, struct connection *connection, bool kept)
{
    set_state(loop, connection, CONNECTION_LINGERING);
    connection->goes_on = kept;
    if (!kept)
        shutdown(connection->fd, SHUT_WR);
}

/* Whether what recv() returned is the end of the connection. */
static bool connection_is_over(ssize_t got)
{
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* ---- one request ---- */

/*
 * Lets libfcgi read the parameters from the descriptor, and judges them: the connection's status is the answer, or
 * STATUS_NONE when the body is wanted. Returns false when libfcgi takes it for no request; it has closed the descriptor
 * then.
 */
static bool read_params(struct loop *loop, struct connection *connection, int fd, struct request_head *head,
                        const char **label)
{
    FCGX_Request *request = &connection->request;

    request->ipcFd = fd;
    request->keepConnection = 1; /* or FCGX_Accept_r would close it and accept another */
    if (FCGX_Accept_r(request) != 0)
        return false;
    head->method = FCGX_GetParam("REQUEST_METHOD", request->envp);
    head->uri = FCGX_GetParam("REQUEST_URI", request->envp);
    head->content_length = FCGX_GetParam("CONTENT_LENGTH", request->envp);
    head->document_root = FCGX_GetParam("DOCUMENT_ROOT", request->envp);
    connection->status = request_judge_head(head, loop->intake->conf, loop->intake->secrets, label);
    return true;
}

/* Reads and judges the body of a request. One that is to be spooled joins the batch: returns true. Else the
 * connection's status is the answer. */
static bool take_body(struct loop *loop, struct connection *connection, const struct request_head *head,
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
    connection->status = verdict.status;
    if (!verdict.spool)
        return false;
    loop->records[at] = (struct segment_record){.flag = verdict.flag, .body = body.bytes, .body_length = body.length};
    uuid_new(loop->records[at].id);
    loop->labels[at] = label;
    loop->waiting[at] = connection;
    loop->waiting_count++;
    loop->arena_used += body.length;
    return true;
}

/* Discards what a refused request has sent, so that the next bytes of a kept connection begin a request. */
static void drain_request(const struct loop *loop, FCGX_Request *request)
{
    size_t room = loop->arena_size - loop->arena_used;

    while (FCGX_GetStr(loop->arena + loop->arena_used, (int)room, request->in) == (int)room)
        ;
}

static void answer_request(struct connection *connection)
{
    FCGX_Request *request = &connection->request;

    FCGX_PutS(request_answer(connection->status), request->out);
    FCGX_FClose(request->err);
    FCGX_FClose(request->out);
}

/* Goes on with a request whose parameters libfcgi has read: its body, unless it is refused. All that libfcgi will get
 * of the request is there. */
static void take_request(struct loop *loop, struct connection *connection, const struct request_head *head,
                         const char *label)
{
    FCGX_Request *request = &connection->request;
    bool spooled = connection->status == STATUS_NONE && take_body(loop, connection, head, label);

    if (!spooled)
        drain_request(loop, request);
    request->ipcFd = connection->fd;
    if (FCGX_GetError(request->in) != 0)
        connection->unread = true;
    if (!spooled)
        answer_request(connection);
    set_state(loop, connection, CONNECTION_TAKEN);
    loop->taken[loop->taken_count++] = connection;
}

/* When a request is answered: keeps its connection, or closes it. */
static void finish_request(struct loop *loop, struct connection *connection)
{
    FCGX_Request *request = &connection->request;
    bool keep = request->keepConnection && FCGX_GetError(request->out) == 0;

    FCGX_Free(request, 0);
    if (connection->unread) {
        linger_connection(loop, connection, keep && connection->goes_on);
    } else if (keep) {
        forget_collected(connection);
        set_state(loop, connection, CONNECTION_IDLE);
    } else {
        close_connection(loop, connection);
    }
}

/* ---- requests that do not come at once ---- */

/* Puts what is collected into the file in memory, to be read from its beginning. Returns false with errno. */
static bool feed_libfcgi(struct loop *loop, const struct connection *connection)
{
    size_t size = connection->length;

    if (loop->feed < 0)
        loop->feed = memfd_create("request", MFD_CLOEXEC);
    return loop->feed >= 0 && ftruncate(loop->feed, 0) == 0 &&
           pwrite(loop->feed, connection->bytes, size, 0) == (ssize_t)size && lseek(loop->feed, 0, SEEK_SET) == 0;
}

/*
 * Takes a request whose parameters are collected: refuses it, or waits for the rest of its body, or spools the body.
 * OVER: no more of the body will come, or is wanted.
 */
static void take_collected(struct loop *loop, struct connection *connection, bool over)
{
    struct request_head head;
    const char *label;

    if (connection->accepted && !over)
        return;
    if (!feed_libfcgi(loop, connection)) {
        close_connection(loop, connection);
        return;
    }
    if (!read_params(loop, connection, loop->feed, &head, &label)) {
        loop->feed = -1;
        close_connection(loop, connection);
        return;
    }
    if (connection->status == STATUS_NONE && !over) {
        FCGX_Free(&connection->request, 0);
        connection->accepted = true;
        return;
    }
    take_request(loop, connection, &head, label);
}

/* Returns the size that a request may have, with room for the frames of many small records. */
static size_t collect_limit(const struct loop *loop)
{
    return FCGI_HEAD_BYTES + 2 * (loop->intake->conf->max_body + QUEUE_BYTES);
}

/* Takes what was collected, if it can be taken. ENDED: no more will come. */
static void check_collected(struct loop *loop, struct connection *connection, bool ended)
{
    enum fcgi_checked checked = fcgi_check(&connection->check, connection->bytes, connection->length);
    bool too_large = connection->check.body_bytes > loop->intake->conf->max_body;

    if (checked == FCGI_CHECKED_BROKEN || (checked == FCGI_CHECKED_NO_HEAD && ended)) {
        close_connection(loop, connection);
        return;
    }
    if (checked == FCGI_CHECKED_NO_HEAD)
        return;
    connection->goes_on = checked != FCGI_CHECKED_WHOLE && !ended;
    connection->unread = checked != FCGI_CHECKED_WHOLE || connection->length > connection->check.end;
    take_collected(loop, connection, checked == FCGI_CHECKED_WHOLE || ended || too_large);
}

/* Reads on. Returns what recv() returned. */
static ssize_t collect_bytes(struct loop *loop, struct connection *connection)
{
    ssize_t got;

    if (connection->length == connection->room) {
        connection->room = connection->room == 0 ? QUEUE_BYTES : 2 * connection->room;
        connection->bytes = memory_resize(connection->bytes, connection->room, 1);
    }
    got = recv(connection->fd, connection->bytes + connection->length, connection->room - connection->length, 0);
    if (got > 0) {
        connection->length += (size_t)got;
        connection->heard_ms = loop->now_ms;
    }
    return got;
}

static void collect_request(struct loop *loop, struct connection *connection)
{
    ssize_t got = collect_bytes(loop, connection);

    if (got > 0 || connection_is_over(got))
        check_collected(loop, connection, got <= 0 || connection->length > collect_limit(loop));
}

/* The request goes on when more of it comes. */
static void begin_collecting(struct loop *loop, struct connection *connection)
{
    connection->check = (struct fcgi_check){0};
    set_state(loop, connection, CONNECTION_COLLECTING);
    collect_request(loop, connection);
}

/* ---- serving a connection ---- */

/* Looks at what a connection without a request has got, and takes it when it is a whole request. */
static void serve_idle(struct loop *loop, struct connection *connection)
{
    struct fcgi_check check = {0};
    ssize_t got = recv(connection->fd, loop->queued, QUEUE_BYTES, MSG_PEEK);
    enum fcgi_checked checked;
    struct request_head head;
    const char *label;

    if (got <= 0) {
        if (connection_is_over(got))
            close_connection(loop, connection);
        return;
    }
    checked = fcgi_check(&check, loop->queued, (size_t)got);
    if (checked == FCGI_CHECKED_BROKEN) {
        close_connection(loop, connection);
    } else if (checked != FCGI_CHECKED_WHOLE || check.end < (size_t)got) {
        begin_collecting(loop, connection);
    } else if (read_params(loop, connection, connection->fd, &head, &label)) {
        take_request(loop, connection, &head, label);
    } else {
        connection->fd = -1;
    }
}

/* Discards the rest of a request that is answered. At its end the connection is as good as any. */
static void discard_request(struct loop *loop, struct connection *connection)
{
    struct fcgi_check *check = &connection->check;
    ssize_t got = collect_bytes(loop, connection);
    enum fcgi_checked checked = fcgi_check(check, connection->bytes, connection->length);

    if (checked == FCGI_CHECKED_WHOLE && connection->length == check->end) {
        forget_collected(connection);
        set_state(loop, connection, CONNECTION_IDLE);
    } else if (checked != FCGI_CHECKED_HEAD || connection_is_over(got)) {
        close_connection(loop, connection);
    } else {
        connection->length -= check->end;
        memmove(connection->bytes, connection->bytes + check->end, connection->length);
        check->end = 0;
    }
}

static void serve_lingering(struct loop *loop, struct connection *connection)
{
    if (connection->goes_on)
        discard_request(loop, connection);
    else if (connection_is_over(recv(connection->fd, loop->queued, QUEUE_BYTES, 0)))
        close_connection(loop, connection);
}

/* Serves a connection that may be readable. */
static void serve_connection(struct loop *loop, struct connection *connection)
{
    if (connection->fd < 0)
        return;
    switch (connection->state) {
    case CONNECTION_IDLE:
        serve_idle(loop, connection);
        break;
    case CONNECTION_COLLECTING:
        collect_request(loop, connection);
        break;
    case CONNECTION_LINGERING:
        serve_lingering(loop, connection);
        break;
    case CONNECTION_TAKEN:
        break;
    }
}

static bool batch_has_room(const struct loop *loop)
{
    return loop->taken_count < BATCH && loop->arena_used < BATCH_BYTES;
}

/* Serves COUNT polled connections, beginning at another one each round. */
static void serve_polled(struct loop *loop, struct connection *const *polled, size_t count)
{
    for (size_t i = 0; i < count && batch_has_room(loop); i++) {
        size_t at = (i + loop->round) % count;

        if (loop->fds[at + 1].revents != 0)
            serve_connection(loop, polled[at]);
    }
}

/* ---- deadlines ---- */

/* Returns when the connection is to be ended, INT64_MAX for never. */
static int64_t connection_deadline(const struct connection *connection)
{
    int64_t pause = connection->heard_ms + PAUSE_MS, all = connection->since_ms + REQUEST_MS;

    switch (connection->state) {
    case CONNECTION_COLLECTING:
        return pause < all ? pause : all;
    case CONNECTION_LINGERING:
        return connection->since_ms + LINGER_MS;
    default:
        return INT64_MAX;
    }
}

/* Ends what has lasted too long: what came of a wanted body is taken, all else is closed. */
static void serve_overdue(struct loop *loop)
{
    if (loop->deadline > loop->now_ms)
        return;
    for (size_t i = 0; i < loop->connection_end && batch_has_room(loop); i++) {
        struct connection *connection = &loop->connections[i];

        if (connection->fd < 0 || connection_deadline(connection) > loop->now_ms)
            continue;
        if (connection->state == CONNECTION_COLLECTING)
            check_collected(loop, connection, true);
        else
            close_connection(loop, connection);
    }
}

/* ---- new connections ---- */

/* Whether a connection may be closed for a new one: for a while no request came on it, or one whose parameters still
 * lack, or it lingers. */
static bool is_idle_for_long(const struct loop *loop, const struct connection *connection)
{
    return connection->fd >= 0 && connection->state != CONNECTION_TAKEN && !connection->accepted &&
           loop->now_ms - connection->since_ms > IDLE_MS;
}

/* Whether the kernel holds bytes that were not looked at yet. */
static bool connection_has_bytes(const struct connection *connection)
{
    char byte;

    return recv(connection->fd, &byte, 1, MSG_PEEK) > 0;
}

/* Closes the connection that was idle longest. Returns its slot, or NULL when there is none, or bytes have just come.
 */
static struct connection *close_longest_idle(struct loop *loop)
{
    struct connection *oldest = NULL;

    for (size_t i = 0; i < loop->connection_end; i++) {
        struct connection *connection = &loop->connections[i];

        if (is_idle_for_long(loop, connection) && (oldest == NULL || connection->since_ms < oldest->since_ms))
            oldest = connection;
    }
    if (oldest == NULL || (oldest->state == CONNECTION_IDLE && connection_has_bytes(oldest)))
        return NULL;
    close_connection(loop, oldest);
    return oldest;
}

/* Returns a slot for a new connection: a free one, or that of a connection which is closed. NULL: there is none now. */
static struct connection *free_slot(struct loop *loop)
{
    for (size_t i = 0; i < loop->connection_limit; i++) {
        if (loop->connections[i].fd < 0) {
            loop->connection_end = i < loop->connection_end ? loop->connection_end : i + 1;
            return &loop->connections[i];
        }
    }
    return close_longest_idle(loop);
}

/* Returns a new connection, -1 when there is none, or no descriptor or memory for it, also after an idle one was
 * closed: then they wait in the backlog. */
static int accept_connection(struct loop *loop)
{
    int fd;

    do
        fd = accept4(loop->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) &&
           close_longest_idle(loop) != NULL);
    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
        loop->rest_until = loop->now_ms + REST_MS;
    return fd;
}

/* Accepts new connections. Another process may share the listening socket, so there may be none after all. */
static void serve_new(struct loop *loop)
{
    while (batch_has_room(loop)) {
        struct connection *connection = free_slot(loop);

        if (connection == NULL) {
            loop->rest_until = loop->now_ms + REST_MS;
            break;
        }
        connection->fd = accept_connection(loop);
        if (connection->fd < 0)
            break;
        set_state(loop, connection, CONNECTION_IDLE);
        serve_idle(loop, connection);
    }
}

/* ---- a round ---- */

/* Lists what is to be polled: the listening socket first, then the open connections, which are POLLED. Returns how many
 * these are. */
static size_t list_polled(struct loop *loop, struct connection **polled)
{
    size_t count = 0, end = 0;

    loop->fds[0] =
        (struct pollfd){.fd = loop->rest_until > loop->now_ms || loop->ending ? -1 : loop->listener, .events = POLLIN};
    loop->deadline = INT64_MAX;
    for (size_t i = 0; i < loop->connection_end; i++) {
        struct connection *connection = &loop->connections[i];
        int64_t deadline;

        if (connection->fd < 0)
            continue;
        loop->fds[count + 1] = (struct pollfd){.fd = connection->fd, .events = POLLIN | POLLRDHUP};
        polled[count++] = connection;
        deadline = connection_deadline(connection);
        if (deadline < loop->deadline)
            loop->deadline = deadline;
        end = i + 1;
    }
    loop->connection_end = end;
    return count;
}

/* Returns how long to wait, up to TIMEOUT_MS (-1: no limit). */
static int round_timeout(const struct loop *loop, int timeout_ms)
{
    int64_t until = loop->deadline;

    if (loop->rest_until > loop->now_ms && loop->rest_until < until)
        until = loop->rest_until;
    if (until == INT64_MAX || (timeout_ms >= 0 && until - loop->now_ms > timeout_ms))
        return timeout_ms;
    return until > loop->now_ms ? (int)(until - loop->now_ms) : 0;
}

/* Takes the requests that are pending, and waits for one up to TIMEOUT_MS (-1: no limit). */
static void take_round(struct loop *loop, int timeout_ms)
{
    struct connection *polled[CONNECTIONS];
    size_t count = list_polled(loop, polled);
    int ready = signals_poll(loop->fds, count + 1, round_timeout(loop, timeout_ms));

    loop->now_ms = clock_monotonic_ms();
    if (ready < 0)
        return;
    loop->round++;
    intake_refresh(loop->intake);
    /* New ones come first every other round, or busy connections could keep them out. */
    if (loop->fds[0].revents != 0 && loop->round % 2 == 0)
        serve_new(loop);
    serve_polled(loop, polled, count);
    if (loop->fds[0].revents != 0 && loop->round % 2 != 0)
        serve_new(loop);
    serve_overdue(loop);
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
        intake_count(loop->intake, loop->taken[i]->status);
        finish_request(loop, loop->taken[i]);
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

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur >= CONNECTIONS + OTHER_DESCRIPTORS)
        return CONNECTIONS;
    return files.rlim_cur > 2 * OTHER_DESCRIPTORS ? files.rlim_cur - OTHER_DESCRIPTORS : files.rlim_cur / 2;
}

static void init_loop(struct loop *loop)
{
    bool good = FCGX_Init() == 0;

    signals_catch(); /* after FCGX_Init, which catches signals of its own */
    loop->now_ms = clock_monotonic_ms();
    loop->connection_limit = find_connection_limit();
    loop->arena_size = BATCH_BYTES + loop->intake->conf->max_body + 1;
    loop->arena = mmap(NULL, loop->arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!good || loop->arena == MAP_FAILED)
        abort(); /* no memory */
    fcntl(loop->listener, F_SETFL, fcntl(loop->listener, F_GETFL) | O_NONBLOCK);
}

static void free_loop(struct loop *loop)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (loop->connections[i].fd >= 0)
            close_connection(loop, &loop->connections[i]);
    if (loop->feed >= 0)
        close(loop->feed);
    munmap(loop->arena, loop->arena_size);
    free(loop);
}

static bool is_collecting(const struct loop *loop)
{
    for (size_t i = 0; i < loop->connection_end; i++)
        if (loop->connections[i].fd >= 0 && loop->connections[i].state == CONNECTION_COLLECTING)
            return true;
    return false;
}

/* Takes the requests that had come before the signal, and the rest of those that had begun. */
static void serve_last(struct loop *loop)
{
    int64_t end_ms;

    take_round(loop, 0);
    finish_round(loop);
    loop->ending = true;
    end_ms = loop->now_ms + PAUSE_MS;
    while (is_collecting(loop) && loop->now_ms < end_ms) {
        take_round(loop, (int)(end_ms - loop->now_ms));
        finish_round(loop);
    }
}

void fcgi_serve(struct intake *intake, int listener)
{
    struct loop *loop = memory_new(1, sizeof *loop);

    loop->intake = intake;
    loop->listener = listener;
    loop->feed = -1;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        FCGX_InitRequest(&loop->connections[i].request, -1, 0);
        loop->connections[i].fd = -1;
    }
    init_loop(loop);
    while (!signals_stop_asked()) {
        take_round(loop, intake_run_due(intake));
        finish_round(loop);
    }
    serve_last(loop);
    free_loop(loop);
}
