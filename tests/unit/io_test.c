/*
 * SPDX-License-Identifier: ISC
 *
 * io.c: whole reads and writes, through pipes and files, and interrupted by signals; printable.c beside it.
 */
#include <config.h>

#include "base/io.h"

#include "base/memory.h"
#include "base/printable.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define BYTES 300000 /* more than a pipe holds, and than io_read_file begins with */

static char *make_bytes(void)
{
    char *bytes = memory_new(BYTES, 1);

    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 7 % 251);
    return bytes;
}

/* A child writes, this process reads: both go in pieces. */
static void test_pipe(const char *bytes)
{
    char *read_back = memory_new(BYTES + 1, 1);
    int pipes[2], status = -1;
    ssize_t got;
    pid_t child;

    if (pipe(pipes) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        close(pipes[0]);
        _exit(io_write_all(pipes[1], bytes, BYTES) ? 0 : 1);
    }
    close(pipes[1]);
    got = io_read_all(pipes[0], read_back, 10);
    ok(got == 10 && memcmp(read_back, bytes, 10) == 0, "a read ends where the room ends");
    got = io_read_all(pipes[0], read_back + 10, BYTES - 9);
    ok(got == BYTES - 10 && memcmp(read_back, bytes, BYTES) == 0, "and else at the end of the file");
    close(pipes[0]);
    waitpid(child, &status, 0);
    ok(status == 0, "all was written");
    free(read_back);
}

/* ---- signals that interrupt ---- */

#define TICKS 5

static volatile sig_atomic_t ticks;
static int release_fd;

/* Each tick interrupts the call that waits. After some, the child does its part. */
static void on_tick(int number)
{
    (void)number;
    if (++ticks == TICKS)
        (void)!write(release_fd, "x", 1);
}

static void run_ticks(bool run)
{
    const struct timeval step = {.tv_usec = run ? 1000 : 0};
    const struct sigaction action = {.sa_handler = run ? on_tick : SIG_DFL}; /* without SA_RESTART */

    ticks = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){step, step}, NULL);
}

/* The child is silent until it is released: this process waits in read or write meanwhile. */
static void test_interrupted(const char *bytes, bool reading)
{
    char *read_back = memory_new(BYTES + 1, 1), go;
    int data[2], release[2], status = -1;
    bool done_all;
    pid_t child;

    if (pipe(data) != 0 || pipe(release) != 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        close(data[reading ? 0 : 1]);
        if (read(release[0], &go, 1) != 1)
            _exit(2);
        if (reading)
            _exit(io_write_all(data[1], bytes, BYTES) ? 0 : 1);
        _exit(io_read_all(data[0], read_back, BYTES + 1) == BYTES && memcmp(read_back, bytes, BYTES) == 0 ? 0 : 1);
    }
    close(data[reading ? 1 : 0]);
    release_fd = release[1];
    run_ticks(true);
    done_all = reading ? io_read_all(data[0], read_back, BYTES + 1) == BYTES && memcmp(read_back, bytes, BYTES) == 0
                       : io_write_all(data[1], bytes, BYTES);
    run_ticks(false);
    close(data[reading ? 0 : 1]);
    close(release[0]);
    close(release[1]);
    waitpid(child, &status, 0);
    ok(done_all && status == 0, "a %s that signals interrupt goes on", reading ? "read" : "write");
    free(read_back);
}

static void test_errors(void)
{
    char bytes[10];

    ok(io_read_all(-1, bytes, sizeof bytes) == -1 && errno == EBADF, "a read of what is not open fails with errno");
    ok(!io_write_all(-1, bytes, sizeof bytes) && errno == EBADF, "and a write");
    ok(io_sync_parent("/tmp/a"), "a folder is synced");
    ok(!io_sync_parent("/nowhere/a") && errno == ENOENT, "one that is not there is an error with errno");
}

static void test_file(const char *bytes)
{
    char path[] = "/tmp/candhook-io-XXXXXX", *text;
    int fd = mkstemp(path);
    struct err err;
    size_t length;

    if (fd < 0 || !io_write_all(fd, bytes, BYTES))
        abort();
    close(fd);
    ok(io_read_file(path, BYTES, &text, &length, &err) == RESULT_OK && length == BYTES && text[BYTES] == '\0' &&
           memcmp(text, bytes, BYTES) == 0,
       "a whole file, and a NUL");
    free(text);
    ok(io_read_file(path, BYTES - 1, &text, &length, &err) == RESULT_FAIL && text == NULL &&
           strstr(err.text, "File too large"),
       "a larger one than allowed: %s", err.text);
    if (truncate(path, 0) != 0)
        abort();
    ok(io_read_file(path, 10, &text, &length, &err) == RESULT_OK && length == 0 && *text == '\0', "an empty file");
    free(text);
    unlink(path);
    ok(io_read_file(path, 10, &text, &length, &err) == RESULT_FAIL && strstr(err.text, path), "none: %s", err.text);
    ok(io_read_file("/", 10, &text, &length, &err) == RESULT_FAIL && text == NULL &&
           strcmp(err.text, "cannot read /: Is a directory") == 0,
       "a folder: %s", err.text);
}

static void test_printable(void)
{
    static const char in[] = "a\033[2J\r\t\n\x7f\xc3\xa4 ~", text[] = "a?[2J?\t\n?\xc3\xa4 ~",
                      line[] = "a?[2J????\xc3\xa4 ~";
    char out[sizeof in] = "", *written;
    FILE *stream;
    size_t size;

    for (size_t i = 0; in[i] != '\0'; i++)
        out[i] = printable_in_line(in[i]);
    is_text(out, line, "no control character stays in a line");
    stream = memory_open_stream(&written, &size);
    printable_write(stream, in, strlen(in));
    memory_close_stream(stream);
    is_text(written, text, "in a text line feeds and tabs do");
    free(written);
}

int main(void)
{
    char *bytes = make_bytes();

    test_pipe(bytes);
    test_interrupted(bytes, true);
    test_interrupted(bytes, false);
    test_errors();
    test_file(bytes);
    test_printable();
    free(bytes);
    return done();
}
