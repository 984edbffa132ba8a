/*
 * SPDX-License-Identifier: ISC
 *
 * Counts: what two processes at a time write, and the next ones go on from; when it is written; and when
 * a secret was used.
 */
#include <config.h>

#include "spool/counts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"
#include "spool/secret_use.h"
#include "spool_wraps.h"
#include "tap.h"

#define FILES 1000 /* that a folder may have */

static int folder;
static int lock_error; /* 0: locks work */

bool __wrap_lock_take(int fd)
{
    errno = lock_error;
    return lock_error == 0 && __real_lock_take(fd);
}

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Looks from another process, as candhook status does: closing a file that we have locked would let go of the lock. */
static int look(int (*what)(const struct count_totals *sum, int status), int status)
{
    pid_t child = fork();
    int found;

    must(child >= 0, "fork");
    if (child == 0) {
        struct count_totals sum;

        counts_read(folder, COUNTS_ANSWERS, &sum);
        _exit(what(&sum, status));
    }
    must(waitpid(child, &found, 0) == child, "waitpid");
    return WEXITSTATUS(found);
}

static int count_in(const struct count_totals *sum, int status)
{
    char key[16];

    snprintf(key, sizeof key, "%d", status);
    return (int)counts_total(sum, key);
}

static int count_of(int status)
{
    return look(count_in, status);
}

/* 2 for each process, and 1 when it is this process. */
static int responders_in(const struct count_totals *sum, int status)
{
    (void)status;
    return (int)sum->processes * 2 + (sum->pid == getppid());
}

static struct counts *open_counts(void)
{
    struct counts *counts;
    struct err err;

    must(counts_open(folder, COUNTS_ANSWERS, &counts, &err) == RESULT_OK, "counts_open");
    return counts;
}

static void add(struct counts *counts, int status)
{
    char key[16];

    snprintf(key, sizeof key, "%d", status);
    counts_add(counts, key, 1);
}

/* Another process: counts COUNT answers of STATUS, and ends. */
static void other(int status, int count)
{
    pid_t child = fork();
    struct counts *counts;

    must(child >= 0, "fork");
    if (child == 0) {
        counts = open_counts();
        while (count-- > 0)
            add(counts, status);
        counts_close(counts);
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
    struct counts *counts;
    struct count_totals sum;

    counts_read(folder, COUNTS_ANSWERS, &sum);
    ok(sum.count == 0 && *sum.since == '\0' && sum.processes == 0, "nothing was ever counted");
    counts = open_counts();
    ok(counts_write_due(counts) == -1, "nothing to write");
    counts_add(counts, "200", 1);
    ok(counts_write_due(counts) == -1 && count_of(200) == 1, "the first is written at once");
    counts_add(counts, "200", 1);
    ok(counts_write_due(counts) > 0 && count_of(200) == 1, "the second waits for its second");
    ok(look(responders_in, 0) == 3, "one process lives: this one");
    counts_close(counts);
    ok(count_of(200) == 2, "and is written at the end, at the latest");
    ok(look(responders_in, 0) == 0, "then none lives");
}

static void check_several(void)
{
    struct counts *counts = open_counts();

    counts_add(counts, "404", 1);
    other(404, 10);
    ok(faccessat(folder, "answers/1", F_OK, 0) == 0, "two at a time have two files");
    counts_close(counts);
    ok(count_of(404) == 11 && count_of(200) == 2, "all are summed up");
    other(404, 1);
    ok(count_of(404) == 12 && faccessat(folder, "answers/2", F_OK, 0) != 0, "the next goes on in the first");
}

static void check_faults(void)
{
    struct count_totals sum;

    write_to("answers/0", "since 2026-01-31T12:00:00Z\n                  1 200\n");
    counts_read(folder, COUNTS_ANSWERS, &sum);
    ok(counts_total(&sum, "200") == 0, "half a file counts nothing");
    counts_free_totals(&sum);
    other(503, 1);
    ok(count_of(503) == 1, "and is begun anew");
    write_to("answers/0", "since\n                   1 200\n");
    ok(count_of(200) == 0, "nor does one that does not say since when");
    other(503, 1);
    ok(count_of(503) == 1, "which is begun anew, too");
    write_to("answers/1", "since 2000-01-31T12:00:00Z\n                   1 200\n                   2 ok a handler\n");
    counts_read(folder, COUNTS_ANSWERS, &sum);
    is_text(sum.since, "2000-01-31T12:00:00Z", "it counts since the earliest");
    ok(counts_total(&sum, "ok a handler") == 2 && counts_total(&sum, "503") == 1, "a key may have blanks");
    ok(sum.count == 3 && strcmp(sum.totals[2].key, "ok a handler") == 0, "the sums are in the order of their keys");
    counts_free_totals(&sum);
    counts_add(NULL, "200", 1);
    ok(counts_write_due(NULL) == -1, "without a file nothing is counted");
    counts_close(NULL);
}

/* As many processes as there are files, in one that holds all of their locks. */
static void hold_all_files(int tell, int hear)
{
    struct rlimit files;
    char name[32], byte;

    must(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    files.rlim_cur = files.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "crowd/%d", i);
        must(lock_take(openat(folder, name, O_RDWR | O_CREAT, 0600)), name);
    }
    must(write(tell, "x", 1) == 1 && read(hear, &byte, 1) == 0, "the parent");
    _exit(0);
}

static void check_none_is_free(void)
{
    struct counts *counts;
    struct err err;
    int told[2], end[2];
    char byte;
    pid_t child;

    must(mkdirat(folder, "crowd", 0700) == 0 && pipe(told) == 0 && pipe(end) == 0, "a crowd");
    child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        close(end[1]);
        hold_all_files(told[1], end[0]);
    }
    must(read(told[0], &byte, 1) == 1, "the crowd");
    ok(counts_open(folder, "crowd", &counts, &err) == RESULT_FAIL && counts == NULL &&
           strstr(err.text, "folder crowd: ") != NULL,
       "when all files are taken, nothing is counted: %s", err.text);
    close(end[1]);
    must(waitpid(child, NULL, 0) == child, "waitpid");
    lock_error = ENOLCK;
    ok(counts_open(folder, "unlocked", &counts, &err) == RESULT_FAIL && strstr(err.text, strerror(ENOLCK)) != NULL,
       "nor where nothing can be locked: %s", err.text);
    lock_error = 0;
    ok(faccessat(folder, "unlocked/1", F_OK, 0) != 0, "and only one file is tried");
}

static void check_used(void)
{
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    time_t now = time(NULL);

    ok(secret_use_time(folder, "shop=abcd") == 0, "never used");
    secret_use_touch(folder, "shop=abcd");
    ok(secret_use_time(folder, "shop=abcd") >= now - 1, "used now");
    must(utimensat(folder, "used/shop=abcd", old, 0) == 0, "utimensat");
    secret_use_touch(folder, "shop=abcd");
    ok(secret_use_time(folder, "shop=abcd") >= now - 1, "used again");
    old[0].tv_sec = old[1].tv_sec = now - 30;
    must(utimensat(folder, "used/shop=abcd", old, 0) == 0, "utimensat");
    secret_use_touch(folder, "shop=abcd");
    ok(secret_use_time(folder, "shop=abcd") == now - 30, "within the minute nothing is written");
    secret_use_forget(folder, "shop=abcd");
    ok(secret_use_time(folder, "shop=abcd") == 0, "forgotten");
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
    check_none_is_free();
    check_used();
    snprintf(command, sizeof command, "rm -r '%s'", path);
    ok(system(command) == 0, "cleaned up");
    return done();
}
