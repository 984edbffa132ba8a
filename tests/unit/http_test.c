/*
 * SPDX-License-Identifier: ISC
 *
 * http.c and http_exchange.c with a server on loopback: a child that answers each request as its path says.
 */
#include <config.h>

#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/signals.h"
#include "tap.h"

static char base[64];
static int release[2];  /* a pipe: a byte in it lets one request of /held be answered */
static int answered[2]; /* a pipe: a byte in it says that a request of /told was answered */

static void write_byte(int fd)
{
    if (write(fd, "x", 1) != 1)
        abort();
}

/* ---- the server ---- */

static void put(int socket, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t wrote = send(socket, text, length, MSG_NOSIGNAL);

        if (wrote <= 0)
            _exit(0);
        text += wrote;
        length -= (size_t)wrote;
    }
}

/* Answers with the path's number of bytes, to the end of the connection. */
static void put_bytes(int socket, size_t count)
{
    char block[4096];

    memset(block, 'x', sizeof block);
    put(socket, "HTTP/1.1 200 Long\r\n\r\n", 21);
    for (; count > 0; count -= count < sizeof block ? count : sizeof block)
        put(socket, block, count < sizeof block ? count : sizeof block);
}

static void put_headers(int socket)
{
    put(socket, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < 100000; i++)
        put(socket, "X-Header: x\r\n", 13);
}

/* A reason phrase of 5,000 letters and a full stop. */
static void put_reason(int socket)
{
    char line[5100];
    int length = snprintf(line, sizeof line, "HTTP/1.1 500 %05000d.\r\nContent-Length: 0\r\n\r\n", 0);

    put(socket, line, (size_t)length);
}

/* The time a minute from now, or ago, as HTTP writes it. */
static void put_date(int socket, int seconds)
{
    time_t moment = time(NULL) + seconds;
    char text[128];
    struct tm date;

    strftime(text, sizeof text,
             "HTTP/1.1 503 Busy\r\nretry-after:  %a, %d %b %Y %H:%M:%S GMT \r\nContent-Length: 0\r\n\r\n",
             gmtime_r(&moment, &date));
    put(socket, text, strlen(text));
}

/* Gives the request back as the body. */
static void put_echo(int socket, const char *request)
{
    char head[128];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made \x1b[2J\r\nContent-Length: %zu\r\n\r\n",
                          strlen(request));

    put(socket, head, (size_t)length);
    put(socket, request, strlen(request));
}

static void answer_request(int socket, const char *request)
{
    const char *path = strchr(request, ' ') + 1;
    char text[256];

    if (strncmp(path, "/bytes/", 7) == 0)
        put_bytes(socket, strtoul(path + 7, NULL, 10));
    else if (strncmp(path, "/headers", 8) == 0)
        put_headers(socket);
    else if (strncmp(path, "/date/", 6) == 0)
        put_date(socket, atoi(path + 6));
    else if (strncmp(path, "/after/", 7) == 0)
        put(socket, text,
            (size_t)snprintf(text, sizeof text, "HTTP/1.1 429 Slow\r\nRetry-After: %.*s\r\nContent-Length: 0\r\n\r\n",
                             (int)strcspn(path + 7, " "), path + 7));
    else if (strncmp(path, "/status/", 8) == 0)
        put(socket, text,
            (size_t)snprintf(text, sizeof text, "HTTP/1.1 %.3s What\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n",
                             path + 8));
    else if (strncmp(path, "/sleep/", 7) == 0)
        usleep((useconds_t)atoi(path + 7) * 1000), put(socket, "HTTP/1.1 204 Late\r\n\r\n", 21);
    else if (strncmp(path, "/held", 5) == 0 && read(release[0], text, 1) == 1)
        put(socket, "HTTP/1.1 204 Held\r\n\r\n", 21);
    else if (strncmp(path, "/told", 5) == 0)
        put(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38), write_byte(answered[1]);
    else if (strncmp(path, "/lower", 6) == 0)
        put(socket, "http/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 41);
    else if (strncmp(path, "/garbage", 8) == 0)
        put(socket, "\x00\xff\r\n\r\nHTTP", 10);
    else if (strncmp(path, "/short/", 7) == 0)
        put(socket, text,
            (size_t)snprintf(text, sizeof text, "HTTP/1.1 %.3s Part\r\nContent-Length: 9\r\n\r\npart", path + 7));
    else if (strncmp(path, "/reason", 7) == 0)
        put_reason(socket);
    else if (strncmp(path, "/echo", 5) == 0)
        put_echo(socket, request);
}

static void serve(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        char request[8192] = "";
        ssize_t length;

        if (fork() != 0) {
            close(socket);
            continue;
        }
        close(listener);
        length = recv(socket, request, sizeof request - 1, 0); /* what is sent here fits into one piece */
        if (length > 0)
            answer_request(socket, request);
        shutdown(socket, SHUT_WR);
        while (recv(socket, request, sizeof request, 0) > 0)
            continue;
        _exit(0);
    }
}

static pid_t start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    if (pipe(release) != 0 || pipe(answered) != 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        abort();
    snprintf(base, sizeof base, "http://127.0.0.1:%d", ntohs(address.sin_port));
    pid = fork();
    if (pid == 0)
        serve(listener);
    close(listener);
    return pid;
}

/* ---- one at a time ---- */

static struct http_request request_of(const char *path, char *url, size_t room)
{
    struct http_request request = {.method = "GET", .url = url, .timeout_ms = 30000, .answer_bytes = 4096};

    snprintf(url, room, "%s%s", base, path);
    return request;
}

static enum result get(struct http *http, const char *path, struct http_answer *answer, struct err *err)
{
    char url[256];
    struct http_request request = request_of(path, url, sizeof url);

    return http_send(http, &request, answer, err);
}

static void test_answer(struct http *http)
{
    char url[256];
    struct http_request request = request_of("/echo?q=1", url, sizeof url);
    struct http_answer answer;
    struct err err;

    request.method = "POST";
    request.headers[0] = "Content-Type: application/json";
    request.headers[1] = "X-One: 1";
    request.body = "{\"a\":1}";
    request.body_length = 7;
    ok(http_send(http, &request, &answer, &err) == RESULT_OK, "a POST has an answer");
    ok(answer.status == 201 && answer.retry_after == -1 && !answer.cut && answer.seconds > 0, "of that status");
    is_text(answer.reason, "Made ?[2J", "the reason is printable, and the last one");
    ok(strncmp(answer.body, "POST /echo?q=1 HTTP/1.1\r\n", 25) == 0, "the path and the query came over");
    ok(strstr(answer.body, "\r\nX-One: 1\r\n") && strstr(answer.body, "\r\nContent-Type: application/json\r\n"),
       "the headers");
    ok(strstr(answer.body, "\r\nUser-Agent: candhook/" PACKAGE_VERSION "\r\n") != NULL, "the name of the program");
    ok(strstr(answer.body, "Expect") == NULL, "and no Expect");
    ok(strlen(answer.body) == answer.body_length &&
           strcmp(answer.body + answer.body_length - 11, "\r\n\r\n{\"a\":1}") == 0,
       "the body");
    http_answer_free(&answer);

    request.method = "POST";
    request.body = NULL;
    ok(http_send(http, &request, &answer, &err) == RESULT_OK && strstr(answer.body, "\r\nContent-Length: 0\r\n"),
       "a POST without a body says that its length is 0");
    http_answer_free(&answer);
    request.method = "DELETE";
    ok(http_send(http, &request, &answer, &err) == RESULT_OK && strncmp(answer.body, "DELETE ", 7) == 0, "DELETE");
    http_answer_free(&answer);
    request = request_of("/short/200", url, sizeof url);
    request.method = "HEAD";
    ok(http_send(http, &request, &answer, &err) == RESULT_OK && answer.status == 200 && answer.body_length == 0,
       "HEAD waits for no body, whatever its length is said to be");
    http_answer_free(&answer);
}

static void test_bounds(struct http *http)
{
    struct http_answer answer;
    struct err err;

    ok(get(http, "/bytes/4096", &answer, &err) == RESULT_OK && answer.body_length == 4096 && !answer.cut,
       "a body that fits is kept whole");
    http_answer_free(&answer);
    ok(get(http, "/bytes/5000000", &answer, &err) == RESULT_OK && answer.body_length == 4096 && answer.cut,
       "of a longer one the beginning");
    http_answer_free(&answer);
    ok(get(http, "/bytes/9000000", &answer, &err) == RESULT_RETRY && strstr(err.text, "more than 8 MiB"),
       "one that does not end is broken off");
    ok(get(http, "/headers", &answer, &err) == RESULT_RETRY && strstr(err.text, "headers") != NULL,
       "and so are headers: %s", err.text);
    ok(get(http, "/short/200", &answer, &err) == RESULT_RETRY, "a body that is cut off is no answer: %s", err.text);
    ok(get(http, "/reason", &answer, &err) == RESULT_OK && strlen(answer.reason) == 5001 && answer.reason[5000] == '.',
       "a long reason is kept whole");
    http_answer_free(&answer);
}

/* Where only the status counts, nothing that comes behind it makes it doubtful. */
static void test_status_only(struct http *http)
{
    static const struct {
        const char *path;
        int status;
    } cases[] = {
        {"/short/200", 200}, {"/short/400", 400}, {"/bytes/9000000", 200}, {"/headers", 200}, {"/bytes/100", 200}};
    struct http_answer answer;
    struct err err;
    char url[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request request = request_of(cases[i].path, url, sizeof url);

        request.status_only = true;
        ok(http_send(http, &request, &answer, &err) == RESULT_OK && answer.status == cases[i].status &&
               answer.body_length <= 4096 && strlen(answer.body) == answer.body_length,
           "%s: the status is the answer", cases[i].path);
        ok(answer.cut == (strcmp(cases[i].path, "/bytes/100") != 0), "and whether the body is whole is told");
        http_answer_free(&answer);
    }
    for (const char *const *path = (const char *const[]){"/garbage", "/nothing", "/status/999", NULL}; *path; path++) {
        struct http_request request = request_of(*path, url, sizeof url);

        request.status_only = true;
        ok(http_send(http, &request, &answer, &err) == RESULT_RETRY, "%s: without one there is none", *path);
    }
}

static void test_retry_after(struct http *http)
{
    static const struct {
        const char *path;
        long least, most;
    } cases[] = {{"/after/120", 120, 120},
                 {"/after/0", 0, 0},
                 {"/after/soon", -1, -1},
                 {"/after/-5", 0, 0},
                 {"/after/-99999999999999999999", 0, 0},
                 {"/after/86401", 86400, 86400},
                 {"/after/2147483648", 86400, 86400},
                 {"/after/12x", -1, -1},
                 {"/date/604800", 86400, 86400},
                 {"/after/Fri,%20", -1, -1},
                 {"/date/60", 55, 60},
                 {"/date/-60", 0, 0},
                 {"/after/99999999999999999999", 86400, 86400},
                 {"/after/1111111111111111111111111111111111111111111111111111111111111111", -1, -1},
                 {"/status/500", -1, -1}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_answer answer;
        struct err err;
        enum result result = get(http, cases[i].path, &answer, &err);

        ok(result == RESULT_OK && answer.retry_after >= cases[i].least && answer.retry_after <= cases[i].most,
           "Retry-After of %s: %ld", cases[i].path, answer.retry_after);
        http_answer_free(&answer);
    }
}

/* Nobody listens on port 1; a proxy in the environment leads there, too. */
static void test_failures(struct http *http)
{
    static const char *const senseless[] = {"ftp://127.0.0.1/", "127.0.0.1/x",       "http://", "",
                                            "http://a b/",      "file:///etc/passwd"};
    struct http_request request = {.method = "GET", .timeout_ms = 30000};
    struct http_answer answer;
    struct err err;
    char url[256];

    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
        request.url = senseless[i];
        ok(http_send(http, &request, &answer, &err) == RESULT_FAIL, "the URL %s makes no sense", senseless[i]);
    }
    request.url = "http://us3r:passw0rd@127.0.0.1:1/s3cret?k=qu3ry";
    ok(http_send(http, &request, &answer, &err) == RESULT_RETRY, "nobody there");
    ok(strncmp(err.text, "no answer from http://127.0.0.1:1: ", 35) == 0 && !strstr(err.text, "s3cret") &&
           !strstr(err.text, "qu3ry") && !strstr(err.text, "us3r") && !strstr(err.text, "passw0rd"),
       "is said without path, query and user: %s", err.text);
    request.url = "http://127.0.0.1:1/?port";
    ok(http_send(http, &request, &answer, &err) == RESULT_RETRY && strstr(err.text, "port") == NULL,
       "nor what libcurl says, when it has the query in it: %s", err.text);
    ok(get(http, "/lower", &answer, &err) == RESULT_RETRY,
       "a status line in small letters, which libcurl takes for 200, is none: %s", err.text);
    ok(get(http, "/garbage", &answer, &err) == RESULT_RETRY, "garbage is no answer: %s", err.text);
    ok(get(http, "/nothing", &answer, &err) == RESULT_RETRY, "nor is nothing: %s", err.text);
    ok(get(http, "/status/999", &answer, &err) == RESULT_RETRY, "nor a status that means nothing: %s", err.text);
    ok(get(http, "/status/302", &answer, &err) == RESULT_OK && answer.status == 302, "a redirection is not followed");
    http_answer_free(&answer);
    request = request_of("/sleep/20000", url, sizeof url);
    request.timeout_ms = 100;
    ok(http_send(http, &request, &answer, &err) == RESULT_RETRY, "too slow: %s", err.text);
    request.method = "GET /x HTTP/1.1\r\nX: ";
    ok(http_send(http, &request, &answer, &err) == RESULT_FAIL, "a method that is none");
    request.method = "GET";
    request.headers[0] = "X: 1\r\nY: 2";
    ok(http_send(http, &request, &answer, &err) == RESULT_FAIL && !strstr(err.text, "Y: 2"),
       "a header with a second line");
}

/* ---- many at once ---- */

static void start(struct http *http, const char *path, char *context)
{
    char url[256];
    struct http_request request = request_of(path, url, sizeof url);
    struct err err;

    if (http_start(http, &request, context, &err) != RESULT_OK)
        ok(0, "%s begins: %s", path, err.text);
}

/* Waits for the next that ends, 30 s at most. */
static char *next(struct http *http, int *status)
{
    int64_t end = clock_monotonic_ms() + 30000;
    struct http_answer answer;
    enum result result;
    struct err err;
    char *context = http_next(http, &result, &answer, &err);

    while (context == NULL && clock_monotonic_ms() < end) {
        http_wait(http, NULL, 0, 1000);
        context = http_next(http, &result, &answer, &err);
    }
    *status = context == NULL ? -2 : result == RESULT_OK ? answer.status : -1;
    if (context != NULL)
        http_answer_free(&answer);
    return context;
}

static void test_order(void)
{
    struct http *http = http_new();
    char held[] = "held", broken[] = "broken", contexts[200];
    int status, good = 0, ended_broken = 0;

    start(http, "/held", held);
    for (size_t i = 0; i < sizeof contexts; i++)
        start(http, "/status/200", &contexts[i]);
    start(http, "/nothing", broken);
    for (size_t i = 0; i < sizeof contexts + 1; i++) {
        char *context = next(http, &status);

        good += status == 200 && context >= contexts && context < contexts + sizeof contexts;
        ended_broken += status == -1 && context == broken;
    }
    ok(good == (int)sizeof contexts, "%d requests are not held up by one that is not answered yet", good);
    ok(ended_broken == 1, "one without an answer ends, too");
    write_byte(release[1]);
    ok(next(http, &status) == held && status == 204, "that one ends when it is answered");
    ok(http_next(http, &(enum result){0}, &(struct http_answer){0}, &(struct err){""}) == NULL, "and that is all");
    http_free(http);
}

static void test_stop(void)
{
    struct http *http = http_new();
    char one[] = "one", two[] = "two", three[] = "three";
    struct err err;
    struct pollfd told = {.fd = answered[0], .events = POLLIN};
    struct http_request senseless = {.method = "GET", .url = "nowhere", .timeout_ms = 1000};
    int status;

    start(http, "/sleep/20000", one);
    start(http, "/told", two);
    start(http, "/status/201", three);
    ok(http_start(http, &senseless, one, &err) == RESULT_FAIL, "what makes no sense does not begin");
    for (int64_t end = clock_monotonic_ms() + 30000; told.revents == 0 && clock_monotonic_ms() < end;)
        http_wait(http, &told, 1, 30000);
    http_wait(http, NULL, 0, 0); /* the answer is in the socket: two has ended, and is stopped after that */
    http_stop(http, one);
    http_stop(http, two);
    http_stop(http, two);
    ok(next(http, &status) == three && status == 201, "what was stopped does not come back");
    start(http, "/status/200", one);
    start(http, "/sleep/20000", two);
    ok(next(http, &status) == one, "the others go on");
    http_free(http); /* with one under way */
}

static void test_waiting(void)
{
    struct http *http = http_new();
    char slow[] = "slow";
    int64_t begun = clock_monotonic_ms();
    struct pollfd fds[2] = {{.events = POLLIN}, {.fd = -1, .revents = POLLIN}};
    int pipe_fds[2];
    pid_t child;

    if (pipe(pipe_fds) != 0)
        abort();
    fds[0].fd = pipe_fds[0];
    http_wait(http, fds, 2, 20);
    ok(clock_monotonic_ms() - begun >= 19 && fds[0].revents == 0 && fds[1].revents == 0,
       "with no request it waits its time");
    start(http, "/sleep/20000", slow);
    write_byte(pipe_fds[1]);
    begun = clock_monotonic_ms();
    for (int i = 0; i < 20 && fds[0].revents == 0; i++)
        http_wait(http, fds, 2, 20000);
    ok(fds[0].revents == POLLIN && clock_monotonic_ms() - begun < 15000, "another descriptor wakes it");

    child = fork();
    if (child == 0) {
        usleep(300000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    fds[0].fd = -1;
    begun = clock_monotonic_ms();
    while (!signals_stop_asked() && clock_monotonic_ms() - begun < 10000)
        http_wait(http, fds, 2, 15000);
    ok(signals_stop_asked() && clock_monotonic_ms() - begun < 10000 && fds[0].revents == 0, "a signal ends the wait");
    waitpid(child, NULL, 0);
    http_free(http);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    pid_t server = start_server();
    struct http *http = http_new();

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    test_answer(http);
    test_bounds(http);
    test_status_only(http);
    test_retry_after(http);
    test_failures(http);
    http_free(http);
    test_order();
    test_stop();
    signals_catch();
    test_waiting();
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    http_free(NULL); /* no harm */
    return done();
}
