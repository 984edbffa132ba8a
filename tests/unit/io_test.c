/*
 * SPDX-License-Identifier: ISC
 *
 * io.c: whole reads and writes, through pipes and files; printable.c beside it.
 */
#include <config.h>

#include "base/io.h"

#include "base/memory.h"
#include "base/printable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
    test_errors();
    test_file(bytes);
    test_printable();
    free(bytes);
    return done();
}
