/*
 * SPDX-License-Identifier: ISC
 *
 * The count of answers.
 */
#include <config.h>

#include "spool/answer_counts.h"

#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWERS_FOLDER "answers"
#define FILES_MAX 1000
#define WRITE_MS 1000
#define TEXT_BYTES 512

const int answer_counts_statuses[ANSWER_COUNTS_STATUSES] = {200, 400, 404, 405, 413, 503};

/* What one file says. */
struct counts {
    char since[32];
    uint64_t of[ANSWER_COUNTS_STATUSES];
};

struct answer_counts {
    int fd;
    struct counts counts;
    int changed;
    int64_t written; /* when, by the clock that never goes back; 0: not yet */
};

static void begin(struct counts *counts)
{
    time_t now = time(NULL);
    struct tm utc;

    memset(counts, 0, sizeof *counts);
    gmtime_r(&now, &utc);
    strftime(counts->since, sizeof counts->since, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* Reads a file that is open. Returns 0, or -1 when it does not hold all counts. */
static int read_counts(int fd, struct counts *counts)
{
    char text[TEXT_BYTES];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    const char *at = text;
    int end = 0, status;

    if (length <= 0)
        return -1;
    text[length] = '\0';
    if (sscanf(at, "since %31s%n", counts->since, &end) != 1)
        return -1;
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++) {
        at += end;
        if (sscanf(at, "%d %" SCNu64 "%n", &status, &counts->of[i], &end) != 2 || status != answer_counts_statuses[i])
            return -1;
    }
    return 0;
}

/* One write of always the same length, so that a reader sees no half of a file. */
static void write_counts(struct answer_counts *counts)
{
    char text[TEXT_BYTES];
    int length = snprintf(text, sizeof text, "since %s\n", counts->counts.since);

    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%d %20" PRIu64 "\n", answer_counts_statuses[i],
                           counts->counts.of[i]);
    (void)!pwrite(counts->fd, text, (size_t)length, 0);
    counts->changed = 0;
    counts->written = clock_monotonic_ms();
}

static int open_file(int folder, unsigned number, int flags)
{
    char name[32];

    snprintf(name, sizeof name, ANSWERS_FOLDER "/%u", number);
    return openat(folder, name, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

/* Opens and locks the first file that nobody has. -1 with errno. */
static int take_file(int folder)
{
    for (unsigned number = 0; number < FILES_MAX; number++) {
        int fd = open_file(folder, number, O_CREAT);

        if (fd < 0 && errno == ENOENT && number == 0 && mkdirat(folder, ANSWERS_FOLDER, 0700) == 0)
            fd = open_file(folder, number, O_CREAT);
        if (fd < 0)
            return -1;
        if (lock_take(fd))
            return fd;
        close(fd);
        if (errno != EAGAIN && errno != EACCES)
            return -1;
    }
    errno = EAGAIN;
    return -1;
}

struct answer_counts *answer_counts_open(int folder)
{
    int fd = take_file(folder);
    struct answer_counts *counts;

    if (fd < 0)
        return NULL;
    counts = calloc(1, sizeof *counts);
    if (counts == NULL)
        abort();
    counts->fd = fd;
    if (read_counts(fd, &counts->counts) != 0)
        begin(&counts->counts);
    return counts;
}

void answer_counts_add(struct answer_counts *counts, int status)
{
    for (size_t i = 0; counts != NULL && i < ANSWER_COUNTS_STATUSES; i++) {
        if (answer_counts_statuses[i] == status) {
            counts->counts.of[i]++;
            counts->changed = 1;
        }
    }
}

int answer_counts_write_due(struct answer_counts *counts)
{
    int64_t left;

    if (counts == NULL || !counts->changed)
        return -1;
    left = counts->written + WRITE_MS - clock_monotonic_ms();
    if (counts->written != 0 && left > 0)
        return (int)left;
    write_counts(counts);
    return -1;
}

void answer_counts_close(struct answer_counts *counts)
{
    if (counts == NULL)
        return;
    if (counts->changed)
        write_counts(counts);
    close(counts->fd);
    free(counts);
}

static void add(struct answer_totals *sum, const struct counts *counts)
{
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        sum->counts[i] += counts->of[i];
    if (*sum->since == '\0' || strcmp(counts->since, sum->since) < 0)
        snprintf(sum->since, sizeof sum->since, "%s", counts->since);
}

void answer_counts_read(int folder, struct answer_totals *sum)
{
    memset(sum, 0, sizeof *sum);
    for (unsigned number = 0; number < FILES_MAX; number++) {
        int fd = open_file(folder, number, 0);
        struct counts counts;
        pid_t holder;

        if (fd < 0)
            break; /* they are taken in order, and nobody removes one */
        holder = lock_holder(fd);
        if (holder != 0 && (holder > 0 || errno == ESRCH)) {
            sum->responders++;
            sum->pid = holder > 0 ? holder : -1;
        }
        if (read_counts(fd, &counts) == 0)
            add(sum, &counts);
        close(fd);
    }
}
