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

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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
#define ANSWER 4096                /* of an answer's headers */
#define STATUSES 600
#define STEPS 64 /* buckets for each doubling of a latency: 1.6 % apart at most */
#define BUCKETS (STEPS * 60)

const char *argp_program_version = "load of " PACKAGE_STRING;

struct options {
    struct sockaddr_in address;
    char host[64];
    char path[256];
    const char *prefix;
    const char *acknowledged;
    const char *type;
    double seconds, rate, every, timeout;
    uint64_t count, first;
    int connections, communities, no_keep_alive;
    size_t size;
};

enum { KEY_FIRST = 1, KEY_NO_KEEP_ALIVE, KEY_TYPE };

static const struct argp_option option_table[] = {
    {"connections", 'c', "N", 0, "Connections; in the open loop the most there may be (64, open loop 512)", 0},
    {"rate", 'r', "N", 0, "Open loop: so many events a second, by the clock", 0},
    {"seconds", 's', "N", 0, "Send for so long (10, unless there is a --count)", 0},
    {"count", 'n', "N", 0, "Send so many events", 0},
    {"size", 'b', "BYTES", 0, "Of a body (300)", 0},
    {"communities", 'g', "N", 0, "Different values of originCommunityId, in turn: G000000001 and so on (1)", 0},
    {"prefix", 'p', "WORD", 0, "Of the payloads' ids (load)", 0},
    {"first", KEY_FIRST, "N", 0, "The first event's number (0)", 0},
    {"type", KEY_TYPE, "TYPE", 0, "Of the events (product.created)", 0},
    {"timeout", 't', "SECONDS", 0, "Until an answer is given up (30)", 0},
    {"no-keep-alive", KEY_NO_KEEP_ALIVE, NULL, 0, "A connection for each event", 0},
    {"acknowledged", 'a', "FILE", 0, "Write the numbers that were answered with 2xx, as lines `FIRST LAST'", 0},
    {"every", 'e', "SECONDS", 0, "Also print a line of JSON for each such stretch of time", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

struct histogram {
    uint64_t buckets[BUCKETS];
    uint64_t count;
    int64_t largest;
    double sum;
};

/* What is counted, for the whole run or for a stretch of it. */
struct counts {
    struct histogram latency; /* of what was acknowledged */
    uint64_t statuses[STATUSES];
    uint64_t sent, refused, broken,
        late; /* refused: no connection; broken: it ended without an answer; late: timeout */
};

enum state { CLOSED, IDLE, SENDING, READING };
enum framing { IN_HEAD, BY_LENGTH, BY_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END };

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
    char answer[ANSWER];
    size_t answer_length;
    enum framing framing;
    uint64_t left; /* of the body, or of the chunk */
    int status, line_length, closes;
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

/* ---- latencies ---- */

static void histogram_add(struct histogram *histogram, int64_t value)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    int shift = v >= 2 * STEPS ? 63 - __builtin_clzll(v) - 6 : 0;

    histogram->buckets[shift * STEPS + (int)(v >> shift)]++;
    histogram->count++;
    histogram->sum += (double)v;
    if (value > histogram->largest)
        histogram->largest = value;
}

/* The latency, in ms, that so large a part of all stays below. */
static double histogram_part(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * part), seen = 0;

    for (int i = 0; i < BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            int shift = i < 2 * STEPS ? 0 : i / STEPS - 1;
            double upper = ldexp(i - shift * STEPS + 1, shift);

            return (upper < (double)histogram->largest ? upper : (double)histogram->largest) / 1e6;
        }
    }
    return 0;
}

/* ---- events ---- */

/* The end of a body: words, so that it compresses about as text does. */
static void make_filler(struct run *run, size_t before)
{
    static const char *const words[] = {"article", "likes", "member", "points", "the", "of", "community", "and", "a"};
    uint32_t dice = 12345;
    size_t length = run->options->size > before + 2 ? run->options->size - before : 2, at = 0;

    run->filler = must(malloc(length + 1));
    while (at + 2 < length) {
        const char *word = words[(dice = dice * 1664525 + 1013904223) >> 16 & 7];
        size_t room = length - 2 - at, size = strlen(word);

        memcpy(run->filler + at, word, size < room ? size : room);
        at += size < room ? size : room;
        if (at + 2 < length)
            run->filler[at++] = ' ';
    }
    memcpy(run->filler + at, "\"}}", 4);
    run->filler_length = at + 3;
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
    connect(connection->fd, (struct sockaddr *)&run->options->address, sizeof run->options->address);
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
    connection->answer_length = 0;
    connection->framing = IN_HEAD;
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

/* ---- answers ---- */

/* Takes the status line and the headers apart. 0: that is no answer. */
static int read_head(struct connection *connection)
{
    char *line = connection->answer;
    int minor;

    if (sscanf(line, "HTTP/1.%d %d", &minor, &connection->status) != 2 || connection->status < 100 ||
        connection->status >= STATUSES)
        return 0;
    connection->closes = minor == 0;
    connection->framing = BY_CLOSE;
    while ((line = strstr(line, "\r\n")) != NULL && strncmp(line, "\r\n\r\n", 4) != 0) {
        line += 2;
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            connection->framing = BY_LENGTH;
            connection->left = strtoull(line + 15, NULL, 10);
        } else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) {
            connection->framing = CHUNK_SIZE;
            connection->left = 0;
        } else if (strncasecmp(line, "Connection: close", 17) == 0) {
            connection->closes = 1;
        } else if (strncasecmp(line, "Connection: keep-alive", 22) == 0) {
            connection->closes = 0;
        }
    }
    if (connection->status == 204 || connection->status == 304) {
        connection->framing = BY_LENGTH;
        connection->left = 0;
    }
    return 1;
}

/* One byte of a body in chunks. Returns whether that was the last one. */
static int read_chunked(struct connection *connection, char byte)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit;

    switch (connection->framing) {
    case CHUNK_SIZE:
        digit = byte != '\0' ? strchr(digits, byte) : NULL;
        if (digit != NULL)
            connection->left = connection->left * 16 + (uint64_t)((digit - digits) % 16);
        if (byte != '\n')
            return 0;
        connection->framing = connection->left > 0 ? CHUNK_DATA : CHUNK_END;
        connection->left += 2;
        connection->line_length = 0;
        return 0;
    case CHUNK_DATA:
        if (--connection->left == 0)
            connection->framing = CHUNK_SIZE;
        return 0;
    default:
        if (byte == '\n' && connection->line_length == 0)
            return 1;
        connection->line_length = byte == '\n' ? 0 : connection->line_length + (byte != '\r');
        return 0;
    }
}

/* Takes LENGTH bytes of a body. Returns whether the answer is whole. */
static int read_body(struct connection *connection, const char *bytes, size_t length)
{
    if (connection->framing == BY_LENGTH) {
        connection->left -= length < connection->left ? length : connection->left;
        return connection->left == 0;
    }
    for (size_t i = 0; i < length && connection->framing != BY_CLOSE; i++)
        if (read_chunked(connection, bytes[i]))
            return 1;
    return 0;
}

static void answered(struct run *run, struct connection *connection)
{
    int64_t time = now();

    run->all.statuses[connection->status]++;
    run->stretch.statuses[connection->status]++;
    if (connection->status / 100 == 2) {
        histogram_add(&run->all.latency, time - connection->due);
        histogram_add(&run->stretch.latency, time - connection->due);
        acknowledge(run, connection->number);
    }
    run->last_answer = time;
    connection->answered = 1;
    if (connection->closes || connection->framing == BY_CLOSE || run->options->no_keep_alive) {
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

/* Whether the bytes that were just read make the answer whole; -1: they are no answer. */
static int take_bytes(struct connection *connection, const char *bytes, size_t got)
{
    size_t before = connection->answer_length;
    char *end;

    if (connection->framing != IN_HEAD)
        return read_body(connection, bytes, got);
    if (before + got >= ANSWER)
        return -1;
    memcpy(connection->answer + before, bytes, got);
    connection->answer_length += got;
    connection->answer[connection->answer_length] = '\0';
    end = strstr(connection->answer, "\r\n\r\n");
    if (end == NULL)
        return 0;
    if (!read_head(connection))
        return -1;
    end += 4;
    return read_body(connection, end, connection->answer_length - (size_t)(end - connection->answer));
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
        if (got == 0 && connection->framing == BY_CLOSE)
            answered(run, connection);
        else
            broken(run, connection);
        return;
    }
    whole = take_bytes(connection, bytes, (size_t)got);
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

static void print_counts(const struct run *run, const struct counts *counts, double seconds, const char *more)
{
    const struct histogram *latency = &counts->latency;
    uint64_t answers = 0;
    const char *comma = "";

    printf("{\"answers\":{");
    for (int i = 0; i < STATUSES; i++) {
        if (counts->statuses[i] > 0) {
            printf("%s\"%d\":%" PRIu64, comma, i, counts->statuses[i]);
            comma = ",";
        }
        answers += counts->statuses[i];
    }
    printf("},\"acknowledged\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"broken\":%" PRIu64
           ",\"late\":%" PRIu64 ",\"seconds\":%.3f,\"answers_per_second\":%.1f,\"acknowledged_per_second\":%.1f",
           latency->count, counts->sent, counts->refused, counts->broken, counts->late, seconds,
           (double)answers / seconds, (double)latency->count / seconds);
    printf(",\"mean_ms\":%.3f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f",
           latency->count > 0 ? latency->sum / (double)latency->count / 1e6 : 0, histogram_part(latency, 0.5),
           histogram_part(latency, 0.9), histogram_part(latency, 0.99), histogram_part(latency, 0.999),
           (double)latency->largest / 1e6);
    printf(",\"connections\":%d%s}\n", run->open_count, more);
    fflush(stdout);
}

static void print_all(struct run *run)
{
    struct rusage usage;
    char more[64];
    double seconds = (double)(run->last_answer - run->start) / 1e9;

    getrusage(RUSAGE_SELF, &usage);
    snprintf(more, sizeof more, ",\"cpu_seconds\":%.3f",
             (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    print_counts(run, &run->all, seconds > 0 ? seconds : 1e-9, more);
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
            print_counts(run, &run->stretch, run->options->every, "");
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
        uint64_t begin = i;

        while (is_acknowledged(run, i))
            i++;
        if (i > begin)
            fprintf(file, "%" PRIu64 " %" PRIu64 "\n", run->options->first + begin, run->options->first + i - 1);
    }
    good = !ferror(file);
    return fclose(file) == 0 && good;
}

/* ---- the command line ---- */

static double number(struct argp_state *state, const char *text, double least)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= least && value <= 1e15))
        argp_error(state, "that is no number of at least %g: %s", least, text);
    return value;
}

static void read_url(struct argp_state *state, const char *url, struct options *options)
{
    char host[32];
    unsigned port;
    int end = 0;

    if (sscanf(url, "http://%31[0-9.]:%u%n", host, &port, &end) != 2 || port > 65535 || url[end] != '/' ||
        inet_pton(AF_INET, host, &options->address.sin_addr) != 1 || strncmp(host, "127.", 4) != 0)
        argp_error(state, "the URL must be like http://127.0.0.1:8080/path, on this machine: %s", url);
    if (strlen(url + end) >= sizeof options->path)
        argp_error(state, "the path is too long: %s", url + end);
    options->address.sin_family = AF_INET;
    options->address.sin_port = htons((uint16_t)port);
    snprintf(options->host, sizeof options->host, "%s:%u", host, port);
    strcpy(options->path, url + end);
}

static const char *word(struct argp_state *state, const char *text)
{
    if (strlen(text) > 100 || strpbrk(text, "\"\\\r\n") != NULL)
        argp_error(state, "a word of at most 100 bytes, please: %s", text);
    return text;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'c':
        options->connections = (int)number(state, text, 1);
        break;
    case 'r':
        options->rate = number(state, text, 0.001);
        break;
    case 's':
        options->seconds = number(state, text, 0.001);
        break;
    case 'n':
        options->count = (uint64_t)number(state, text, 1);
        break;
    case 'b':
        options->size = (size_t)number(state, text, 1);
        break;
    case 'g':
        options->communities = (int)number(state, text, 1);
        break;
    case 'p':
        options->prefix = word(state, text);
        break;
    case 't':
        options->timeout = number(state, text, 0.001);
        break;
    case 'a':
        options->acknowledged = text;
        break;
    case 'e':
        options->every = number(state, text, 0.1);
        break;
    case KEY_FIRST:
        options->first = (uint64_t)number(state, text, 0);
        break;
    case KEY_TYPE:
        options->type = word(state, text);
        break;
    case KEY_NO_KEEP_ALIVE:
        options->no_keep_alive = 1;
        break;
    case ARGP_KEY_ARG:
        read_url(state, text, options);
        break;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    "URL",
    "POSTs events to a server on this machine, and prints what came of it as a line of JSON.\v"
    "Latencies are those of answers 2xx. refused: no connection could be made; broken: it ended without an answer; "
    "late: no answer in time. An event that was not answered is not sent again.",
    NULL,
    NULL,
    NULL};

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

int main(int argc, char **argv)
{
    struct options options = {
        .prefix = "load", .type = "product.created", .timeout = 30, .communities = 1, .size = 300};
    struct run *run = must(calloc(1, sizeof *run));

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.connections == 0)
        options.connections = options.rate > 0 ? 512 : 64;
    if (options.seconds <= 0 && options.count == 0)
        options.seconds = 10;
    prepare(run, &options);
    go(run);
    print_all(run);
    if (options.acknowledged != NULL && !write_acknowledged(run, options.acknowledged)) {
        fprintf(stderr, "load: cannot write %s: %s\n", options.acknowledged, strerror(errno));
        return EX_CANTCREAT;
    }
    return 0;
}
