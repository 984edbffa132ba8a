/*
 * SPDX-License-Identifier: ISC
 *
 * The count of answers: what two responders at a time write, and the next ones go on from; when it is written; and when
 * a secret was used.
 */
#include <config.h>

#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "used.h"

static int folder;

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Looks from another process, as candhook status does: closing a file that we have locked would let go of the lock. */
static int look(int (*what)(const struct tally_sum *sum, int status), int status)
{
    pid_t child = fork();
    int found;

    must(child >= 0, "fork");
    if (child == 0) {
        struct tally_sum sum;

        tally_read(folder, &sum);
        _exit(what(&sum, status));
    }
    must(waitpid(child, &found, 0) == child, "waitpid");
    return WEXITSTATUS(found);
}

static int count_in(const struct tally_sum *sum, int status)
{
    for (size_t i = 0; i < TALLY_STATUSES; i++)
        if (tally_statuses[i] == status)
            return (int)sum->counts[i];
    return 255;
}

static int count_of(int status)
{
    return look(count_in, status);
}

/* 2 for each responder, and 1 when it is this process. */
static int responders_in(const struct tally_sum *sum, int status)
{
    (void)status;
    return (int)sum->responders * 2 + (sum->pid == getppid());
}

/* Another responder: counts COUNT answers of STATUS, and ends. */
static void other(int status, int count)
{
    pid_t child = fork();
    struct tally *tally;

    must(child >= 0, "fork");
    if (child == 0) {
        tally = tally_open(folder);
        while (tally != NULL && count-- > 0)
            tally_count(tally, status);
        tally_close(tally);
        _exit(0);
    }
    must(waitpid(child, NULL, 0) == child, "waitpid");
}

static void write_to(const char *name, const char *text)
{
    int fd = openat(folder, name, O_WRONLY | O_TRUNC);

    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, name);
}

static void check_counting(void)
{
    struct tally *tally;
    struct tally_sum sum;

    tally_read(folder, &sum);
    ok(sum.counts[0] == 0 && *sum.since == '\0' && sum.responders == 0, "nothing was ever counted");
    tally = tally_open(folder);
    must(tally != NULL, "tally_open");
    ok(tally_tend(tally) == -1, "nothing to write");
    tally_count(tally, 200);
    tally_count(tally, 999);
    ok(tally_tend(tally) == -1 && count_of(200) == 1, "the first is written at once");
    tally_count(tally, 200);
    ok(tally_tend(tally) > 0 && count_of(200) == 1, "the second waits for its second");
    ok(look(responders_in, 0) == 3, "one responder lives: this process");
    tally_close(tally);
    ok(count_of(200) == 2, "and is written at the end, at the latest");
    ok(look(responders_in, 0) == 0, "then none lives");
}

static void check_several(void)
{
    struct tally *tally = tally_open(folder);

    must(tally != NULL, "tally_open");
    tally_count(tally, 404);
    other(404, 10);
    ok(faccessat(folder, "answers/1", F_OK, 0) == 0, "two at a time have two files");
    tally_close(tally);
    ok(count_of(404) == 11 && count_of(200) == 2, "all are summed up");
    other(404, 1);
    ok(count_of(404) == 12 && faccessat(folder, "answers/2", F_OK, 0) != 0, "the next goes on in the first");
}

static void check_faults(void)
{
    struct tally_sum sum;

    write_to("answers/0", "since 2026-01-31T12:00:00Z\n200 x\n");
    tally_read(folder, &sum);
    ok(sum.counts[0] == 0, "half a file counts nothing");
    other(503, 1);
    ok(count_of(503) == 1, "and is begun anew");
    write_to("answers/1", "since 2000-01-31T12:00:00Z\n200 1\n400 0\n404 0\n405 0\n413 0\n503 0\n");
    tally_read(folder, &sum);
    is_text(sum.since, "2000-01-31T12:00:00Z", "it counts since the earliest");
    tally_count(NULL, 200);
    ok(tally_tend(NULL) == -1, "without a tally nothing is counted");
    tally_close(NULL);
}

static void check_used(void)
{
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    time_t now = time(NULL);

    ok(used_when(folder, "shop=abcd") == 0, "never used");
    used_mark(folder, "shop=abcd");
    ok(used_when(folder, "shop=abcd") >= now - 1, "used now");
    must(utimensat(folder, "used/shop=abcd", old, 0) == 0, "utimensat");
    used_mark(folder, "shop=abcd");
    ok(used_when(folder, "shop=abcd") >= now - 1, "used again");
    old[0].tv_sec = old[1].tv_sec = now - 30;
    must(utimensat(folder, "used/shop=abcd", old, 0) == 0, "utimensat");
    used_mark(folder, "shop=abcd");
    ok(used_when(folder, "shop=abcd") == now - 30, "within the minute nothing is written");
    used_forget(folder, "shop=abcd");
    ok(used_when(folder, "shop=abcd") == 0, "forgotten");
}

int main(void)
{
    const char *temp = getenv("TMPDIR");
    char path[PATH_MAX], command[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    must(mkdtemp(path) != NULL, path);
    folder = open(path, O_RDONLY | O_DIRECTORY);
    must(folder >= 0, path);
    check_counting();
    check_several();
    check_faults();
    check_used();
    snprintf(command, sizeof command, "rm -r '%s'", path);
    ok(system(command) == 0, "cleaned up");
    return done();
}
