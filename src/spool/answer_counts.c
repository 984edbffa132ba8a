/*
 * SPDX-License-Identifier: ISC
 *
 * The counts of answers.
 */
#include <config.h>

#include "spool/answer_counts.h"

#include "base/lock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWERS_FOLDER "answers"
#define FILES_MAX 1000
#define WRITE_MS 1000
#define TEXT_BYTES 512

const int answer_counts_statuses[ANSWER_COUNTS_STATUSES] = {200, 400, 404, 405, 413, 503};

/* The content of one file. */
struct status_counts {
    char since[CLOCK_TEXT_BYTES];
    uint64_t of[ANSWER_COUNTS_STATUSES];
};

struct answer_counts {
    int fd;
    struct status_counts counts;
    bool changed;
    int64_t written_ms; /* monotonic; 0: not yet */
};

static void reset_counts(struct status_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    clock_text_seconds(clock_real_ms(), counts->since);
}

/* Reads an open file. Returns false when it does not hold all counts. */
static bool read_counts(int fd, struct status_counts *counts)
{
    char text[TEXT_BYTES];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    const char *at = text;
    int end = 0, status;

    if (length <= 0)
        return false;
    text[length] = '\0';
    if (sscanf(at, "since %31s%n", counts->since, &end) != 1)
        return false;
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++) {
        at += end;
        if (sscanf(at, "%d %" SCNu64 "%n", &status, &counts->of[i], &end) != 2 || status != answer_counts_statuses[i])
            return false;
    }
    return true;
}

/* One write, always of the same length, so that nobody reads half of a file. */
static void write_counts(struct answer_counts *counts)
{
    char text[TEXT_BYTES];
    int length = snprintf(text, sizeof text, "since %s\n", counts->counts.since);

    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%d %20" PRIu64 "\n", answer_counts_statuses[i],
                           counts->counts.of[i]);
    (void)!pwrite(counts->fd, text, (size_t)length, 0);
    counts->changed = false;
    counts->written_ms = clock_monotonic_ms();
}

static int open_counts_file(int folder, unsigned number, int flags)
{
    char name[32];

    snprintf(name, sizeof name, ANSWERS_FOLDER "/%u", number);
    return openat(folder, name, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

/* Opens and locks the first file that no other process has locked. Returns -1 with errno. */
static int take_counts_file(int folder)
{
    for (unsigned number = 0; number < FILES_MAX; number++) {
        int fd = open_counts_file(folder, number, O_CREAT);

        if (fd < 0 && errno == ENOENT && number == 0 && mkdirat(folder, ANSWERS_FOLDER, 0700) == 0)
            fd = open_counts_file(folder, number, O_CREAT);
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

enum result answer_counts_open(int folder, struct answer_counts **counts, struct err *err)
{
    int fd = take_counts_file(folder);

    *counts = NULL;
    if (fd < 0) {
        err_set_errno(err, "cannot use a file in the spool's folder %s", ANSWERS_FOLDER);
        return RESULT_FAIL;
    }
    *counts = memory_new(1, sizeof **counts);
    (*counts)->fd = fd;
    if (!read_counts(fd, &(*counts)->counts))
        reset_counts(&(*counts)->counts);
    return RESULT_OK;
}

void answer_counts_add(struct answer_counts *counts, int status)
{
    for (size_t i = 0; counts != NULL && i < ANSWER_COUNTS_STATUSES; i++) {
        if (answer_counts_statuses[i] == status) {
            counts->counts.of[i]++;
            counts->changed = true;
        }
    }
}

int answer_counts_write_due(struct answer_counts *counts)
{
    int64_t left;

    if (counts == NULL || !counts->changed)
        return -1;
    left = counts->written_ms + WRITE_MS - clock_monotonic_ms();
    if (counts->written_ms != 0 && left > 0)
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

static void add_to_totals(struct answer_totals *totals, const struct status_counts *counts)
{
    for (size_t i = 0; i < ANSWER_COUNTS_STATUSES; i++)
        totals->counts[i] += counts->of[i];
    if (*totals->since == '\0' || strcmp(counts->since, totals->since) < 0)
        memcpy(totals->since, counts->since, sizeof totals->since);
}

void answer_counts_read(int folder, struct answer_totals *totals)
{
    memset(totals, 0, sizeof *totals);
    for (unsigned number = 0; number < FILES_MAX; number++) {
        int fd = open_counts_file(folder, number, 0);
        struct status_counts counts;
        pid_t holder;

        if (fd < 0)
            break; /* they are made in this order, and nobody removes one */
        holder = lock_holder(fd);
        if (holder != 0 && (holder > 0 || errno == ESRCH)) {
            totals->responders++;
            totals->pid = holder > 0 ? holder : -1;
        }
        if (read_counts(fd, &counts))
            add_to_totals(totals, &counts);
        close(fd);
    }
}
