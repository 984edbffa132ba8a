/*
 * SPDX-License-Identifier: ISC
 *
 * The load generator of the benchmark: POSTs events to a server on this machine over HTTP/1.1, with one thread and
 * epoll, and tells which of them were acknowledged, so that what was lost can be counted against a database.
 *
 * Closed loop (no --rate): each connection sends its next event as soon as the one before is answered. Open loop
 * (--rate): event I is due at I/RATE seconds, whatever the answers do, and its latency counts from then on: an event
 * that waits for a free connection waits in the figures, too. Connections are opened as they are needed, up to a bound.
 *
 * Events are numbered; their payload ids are PREFIX-NUMBER, with ten digits. A number is used once: what failed is not
 * sent again. Numbers that were answered with 2xx are acknowledged; --acknowledged writes them as lines `FIRST LAST`.
 */
#include <config.h>

#include "load_answer.h"
#include "load_counts.h"
#include "load_options.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define TICK (SECOND / 100)        /* between two looks at deadlines and at connections that failed */
#define FAILED_PAUSE (SECOND / 20) /* before a connection that failed is opened again */
#define HEAD 1024                  /* of a request: its headers, and its body up to the filler */

enum state { CLOSED, IDLE, SENDING, READING };

struct connection {
    int fd;
    enum state state;
    int waits_for_room; /* epoll looks at EPOLLOUT, too */
    int answered;       /* at least once: before that, its end is a refusal */
    uint64_t number;    /* of the event that it carries */
    int64_t due;        /* when that should have been sent, */
    int64_t begun;      /* and when it was; CLOSED: when the connection may be opened */
    char head[HEAD];    /* the request without its filler */
    size_t head_length, sent;
    struct answer answer;
};

struct run {
    struct options *options;
    int epoll;
    struct connection *connections;
    int *idle; /* open loop: those that may be used, the one used last on top */
    int idle_count, open_count, in_flight;
    char *filler; /* the end of every body */
    size_t filler_length;
    uint64_t next; /* how many were begun */
    int64_t start, end, last_answer;
    struct counts all, stretch;
    unsigned char *acknowledged; /* a bit for each number */
    size_t acknowledged_size;
};

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- events ---- */

/* The end of a body: words, so that it compresses about as text does. */
static void make_filler(struct run *run, size_t before)
{
    static const char *const words[] = {"article", "likes", "member", "points", "the", "of", "community", "and"};
    uint32_t dice = 12345;
    static const char tail[] = "\"}}";
    size_t size = run->options->size > before ? run->options->size - before : 0, at = 0;
    size_t text = size > sizeof tail - 1 ? size - (sizeof tail - 1) : 0;

    run->filler = must(malloc(text + sizeof tail));
    while (at < text) {
        const char *word = words[(dice = dice * 1664525 + 1013904223) >> 16 & 7];
        size_t length = strlen(word) < text - at ? strlen(word) : text - at;

        memcpy(run->filler + at, word, length);
        at += length;
        if (at < text)
            run->filler[at++] = ' ';
    }
    memcpy(run->filler + at, tail, sizeof tail);
    run->filler_length = text + sizeof tail - 1;
}

static int write_event(const struct options *options, uint64_t number, char *text, size_t size)
{
    return snprintf(text, size,
                    "{\"module\":\"MOIM\",\"type\":\"%s\",\"context\":{\"originCommunityId\":\"G%09" PRIu64
                    "\",\"userId\":\"UAKDIJ23KD\",\"communityId\":\"G0IZUDWCL\",\"profileId\":\"UAKDIJ23KE\"},"
                    "\"payload\":{\"id\":\"%s-%010" PRIu64 "\",\"text\":\"",
                    options->type, number % (uint64_t)options->communities + 1, options->prefix, number);
}

static void write_request(struct run *run, struct connection *connection)
{
    const struct options *options = run->options;
    char event[HEAD];
    int length = write_event(options, connection->number, event, sizeof event);

    connection->head_length = (size_t)snprintf(
        connection->head, HEAD,
        "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
        options->path, options->host, (size_t)length + run->filler_length,
        options->no_keep_alive ? "Connection: close\r\n" : "", event);
}

static void acknowledge(struct run *run, uint64_t number)
{
    size_t at = (number - run->options->first) / 8;

    if (at >= run->acknowledged_size) {
        size_t size = 2 * at + 4096;

        run->acknowledged = must(realloc(run->acknowledged, size));
        memset(run->acknowledged + run->acknowledged_size, 0, size - run->acknowledged_size);
        run->acknowledged_size = size;
    }
    run->acknowledged[at] |= (unsigned char)(1 << (number - run->options->first) % 8);
}

/* ---- connections ---- */

static void watch(const struct run *run, struct connection *connection, int operation, int for_room)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (for_room ? EPOLLOUT : 0), .data.ptr = connection};

    connection->waits_for_room = for_room;
    epoll_ctl(run->epoll, operation, connection->fd, &event);
}

static void close_connection(struct run *run, struct connection *connection, int64_t pause)
{
    if (connection->state == SENDING || connection->state == READING)
        run->in_flight--;
    close(connection->fd);
    connection->fd = -1;
    connection->state = CLOSED;
    connection->begun = pause > 0 ? now() + pause : 0;
    run->open_count--;
}

static void fail(struct run *run, struct connection *connection, uint64_t *total, uint64_t *stretch)
{
    ++*total;
    ++*stretch;
    close_connection(run, connection, FAILED_PAUSE);
}

/* The connection ended, or could not be made, while it carried an event. */
static void broken(struct run *run, struct connection *connection)
{
    if (connection->answered || connection->sent > 0)
        fail(run, connection, &run->all.broken, &run->stretch.broken);
    else
        fail(run, connection, &run->all.refused, &run->stretch.refused);
}

static void send_more(struct run *run, struct connection *connection)
{
    size_t head_left = connection->sent < connection->head_length ? connection->head_length - connection->sent : 0;
    size_t filler_sent = head_left > 0 ? 0 : connection->sent - connection->head_length;
    struct iovec parts[2] = {{connection->head + connection->head_length - head_left, head_left},
                             {run->filler + filler_sent, run->filler_length - filler_sent}};
    ssize_t wrote = writev(connection->fd, parts, 2);

    if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
        broken(run, connection);
        return;
    }
    connection->sent += wrote > 0 ? (size_t)wrote : 0;
    if (connection->sent == connection->head_length + run->filler_length)
        connection->state = READING;
    if (connection->waits_for_room != (connection->state == SENDING))
        watch(run, connection, EPOLL_CTL_MOD, connection->state == SENDING);
}

static int open_connection(struct run *run, struct connection *connection)
{
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return 0;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    run->open_count++;
    connection->state = IDLE;
    connection->answered = 0;
    (void)connect(connection->fd, (struct sockaddr *)&run->options->address,
                  sizeof run->options->address); /* epoll tells */
    watch(run, connection, EPOLL_CTL_ADD, 1);
    return 1;
}

/* Sends the next event, which was due at DUE, over a connection that is idle or may be opened. */
static void begin(struct run *run, struct connection *connection, int64_t due)
{
    int fresh = connection->state == CLOSED;

    if (fresh && !open_connection(run, connection)) {
        connection->begun = now() + FAILED_PAUSE;
        return;
    }
    connection->number = run->options->first + run->next++;
    connection->due = due;
    connection->begun = now();
    connection->sent = 0;
    connection->state = SENDING;
    answer_begin(&connection->answer);
    run->in_flight++;
    run->all.sent++;
    run->stretch.sent++;
    write_request(run, connection);
    if (!fresh)
        send_more(run, connection);
}

static int may_begin(const struct run *run, int64_t time)
{
    if (run->options->count > 0 && run->next >= run->options->count)
        return 0;
    return time < run->end;
}

static void answered(struct run *run, struct connection *connection)
{
    int64_t time = now();

    run->all.statuses[connection->answer.status]++;
    run->stretch.statuses[connection->answer.status]++;
    if (connection->answer.status / 100 == 2) {
        histogram_add(&run->all.latency, time - connection->due);
        histogram_add(&run->stretch.latency, time - connection->due);
        acknowledge(run, connection->number);
    }
    run->last_answer = time;
    connection->answered = 1;
    if (connection->answer.closes || connection->answer.framing == BY_CLOSE || run->options->no_keep_alive) {
        close_connection(run, connection, 0);
    } else {
        run->in_flight--;
        connection->state = IDLE;
    }
    if (run->options->rate > 0) {
        if (connection->state == IDLE)
            run->idle[run->idle_count++] = (int)(connection - run->connections);
    } else if (may_begin(run, time)) {
        begin(run, connection, time);
    }
}

static void drop_idle(struct run *run, struct connection *connection)
{
    int me = (int)(connection - run->connections);

    for (int i = 0; i < run->idle_count; i++)
        if (run->idle[i] == me)
            run->idle[i--] = run->idle[--run->idle_count];
    close_connection(run, connection, 0);
}

static void read_more(struct run *run, struct connection *connection)
{
    char bytes[ANSWER / 2];
    ssize_t got = read(connection->fd, bytes, sizeof bytes);
    int whole;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (connection->state == IDLE) {
        drop_idle(run, connection); /* the server has closed it, as it may */
        return;
    }
    if (got <= 0) {
        if (got == 0 && connection->answer.framing == BY_CLOSE)
            answered(run, connection);
        else
            broken(run, connection);
        return;
    }
    whole = answer_take(&connection->answer, bytes, (size_t)got);
    if (whole < 0 || (whole > 0 && connection->state == SENDING))
        broken(run, connection); /* no answer, or one to half a request: the connection is of no use any more */
    else if (whole > 0)
        answered(run, connection);
}

/* ---- the run ---- */

static void handle(struct run *run, struct connection *connection, uint32_t events)
{
    if (connection->fd >= 0 && events & EPOLLOUT && connection->state == SENDING)
        send_more(run, connection);
    if (connection->fd >= 0 && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        read_more(run, connection);
}

/* Connections whose answer is overdue, and those that may be opened again. */
static void tick(struct run *run, int64_t time)
{
    int64_t timeout = (int64_t)(run->options->timeout * 1e9);

    for (int i = 0; i < run->options->connections; i++) {
        struct connection *connection = &run->connections[i];

        if ((connection->state == SENDING || connection->state == READING) && time - connection->begun > timeout)
            fail(run, connection, &run->all.late, &run->stretch.late);
        else if (connection->state == CLOSED && run->options->rate <= 0 && connection->begun <= time &&
                 may_begin(run, time))
            begin(run, connection, time);
    }
}

static struct connection *free_connection(struct run *run, int64_t time)
{
    if (run->idle_count > 0)
        return &run->connections[run->idle[--run->idle_count]];
    for (int i = 0; i < run->options->connections; i++)
        if (run->connections[i].state == CLOSED && run->connections[i].begun <= time)
            return &run->connections[i];
    return NULL;
}

/* Open loop: begins what is due. Returns when the next one is. */
static int64_t begin_due(struct run *run, int64_t time)
{
    struct connection *connection;
    int64_t due = run->start + (int64_t)((double)run->next * 1e9 / run->options->rate);

    while (due <= time && may_begin(run, due) && (connection = free_connection(run, time)) != NULL) {
        begin(run, connection, due);
        due = run->start + (int64_t)((double)run->next * 1e9 / run->options->rate);
    }
    return due > time && due < run->end ? due : INT64_MAX;
}

static void print_all(struct run *run)
{
    struct rusage usage;
    char more[64];
    double seconds = (double)(run->last_answer - run->start) / 1e9;

    getrusage(RUSAGE_SELF, &usage);
    snprintf(more, sizeof more, ",\"connections\":%d,\"cpu_seconds\":%.3f", run->open_count,
             (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    counts_print(&run->all, seconds > 0 ? seconds : 1e-9, more);
}

/* Sends and reads until all is sent and answered, or given up. */
static void go(struct run *run)
{
    struct epoll_event events[256];
    int64_t every = (int64_t)(run->options->every * 1e9), time = now();
    int64_t next_tick = 0, next_due = INT64_MAX, next_stretch = every > 0 ? time + every : INT64_MAX;

    run->start = run->last_answer = time;
    run->end = run->options->seconds > 0 ? time + (int64_t)(run->options->seconds * 1e9) : INT64_MAX;
    while (may_begin(run, time) || run->in_flight > 0) {
        int64_t until;
        struct timespec wait;
        int got;

        if (run->options->rate > 0)
            next_due = begin_due(run, time);
        if (time >= next_tick) {
            tick(run, time);
            next_tick = time + TICK;
        }
        if (time >= next_stretch) {
            counts_print(&run->stretch, run->options->every, "");
            memset(&run->stretch, 0, sizeof run->stretch);
            next_stretch += every;
        }
        until = next_due < next_tick ? next_due : next_tick;
        until = until > time ? until - time : 0;
        wait = (struct timespec){until / SECOND, until % SECOND};
        got = epoll_pwait2(run->epoll, events, sizeof events / sizeof events[0], &wait, NULL);
        for (int i = 0; i < got; i++)
            handle(run, events[i].data.ptr, events[i].events);
        time = now();
    }
}

static int is_acknowledged(const struct run *run, uint64_t index)
{
    return index / 8 < run->acknowledged_size && run->acknowledged[index / 8] >> index % 8 & 1;
}

static int write_acknowledged(const struct run *run, const char *path)
{
    FILE *file = fopen(path, "w");
    int good;

    if (file == NULL)
        return 0;
    for (uint64_t i = 0; i < run->next; i++) {
        uint64_t first = i;

        while (is_acknowledged(run, i))
            i++;
        if (i > first)
            fprintf(file, "%" PRIu64 " %" PRIu64 "\n", run->options->first + first, run->options->first + i - 1);
    }
    good = !ferror(file);
    return fclose(file) == 0 && good;
}

static void prepare(struct run *run, struct options *options)
{
    char event[HEAD];
    size_t size;

    run->options = options;
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    run->connections = must(calloc((size_t)options->connections, sizeof *run->connections));
    run->idle = must(calloc((size_t)options->connections, sizeof *run->idle));
    for (int i = 0; i < options->connections; i++)
        run->connections[i].fd = -1;
    size = (size_t)write_event(options, options->first, event, sizeof event);
    make_filler(run, size);
}

static void release(struct run *run)
{
    for (int i = 0; i < run->options->connections; i++)
        if (run->connections[i].fd >= 0)
            close(run->connections[i].fd);
    close(run->epoll);
    free(run->connections);
    free(run->idle);
    free(run->filler);
    free(run->acknowledged);
    free(run);
}

int main(int argc, char **argv)
{
    struct options options;
    struct run *run;
    int status = 0;

    options_read(&options, argc, argv);
    run = must(calloc(1, sizeof *run));
    prepare(run, &options);
    go(run);
    print_all(run);
    if (options.acknowledged != NULL && !write_acknowledged(run, options.acknowledged)) {
        fprintf(stderr, "load: cannot write %s: %s\n", options.acknowledged, strerror(errno));
        status = EX_CANTCREAT;
    }
    release(run);
    return status;
}
