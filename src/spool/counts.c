/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "spool/counts.h"

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

#define FILES_MAX 1000
#define KEYS_MAX 4096
#define FILE_BYTES (KEYS_MAX * (COUNTS_KEY_BYTES + 32))
#define NUMBER_WIDTH 20
#define WRITE_MS 1000

struct counts {
    int fd;
    char since[CLOCK_TEXT_BYTES];
    struct count_total *of; /* a key's place never changes, so that a line keeps its place in the file */
    size_t count;
    bool changed;
    int64_t written_ms; /* monotonic; 0: not yet */
};

/* ---- keys ---- */

static struct count_total *find_key(struct count_total *of, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(of[i].key, key) == 0)
            return &of[i];
    return NULL;
}

static void add_number(struct count_total **of, size_t *count, const char *key, uint64_t number)
{
    struct count_total *found = find_key(*of, *count, key);

    if (found != NULL) {
        found->number += number;
    } else if (*count < KEYS_MAX) {
        *of = memory_resize(*of, *count + 1, sizeof **of);
        (*of)[(*count)++] = (struct count_total){memory_copy_text(key), number};
    }
}

static void free_keys(struct count_total *of, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(of[i].key);
    free(of);
}

/* ---- a file ---- */

static void reset_counts(struct counts *counts)
{
    free_keys(counts->of, counts->count);
    counts->of = NULL;
    counts->count = 0;
    clock_text_seconds(clock_real_ms(), counts->since);
}

/* Reads the lines of TEXT. Returns false when one is not whole. */
static bool parse_counts(char *text, struct counts *counts)
{
    int end = 0;

    if (sscanf(text, "since %31s%n", counts->since, &end) != 1 || text[end] != '\n')
        return false;
    for (char *line = text + end + 1, *next; *line != '\0'; line = next) {
        char *key;
        uint64_t number = strtoull(line, &key, 10);

        next = strchr(line, '\n');
        if (next == NULL || key - line != NUMBER_WIDTH || *key != ' ' || next - key > COUNTS_KEY_BYTES)
            return false;
        *next++ = '\0';
        add_number(&counts->of, &counts->count, key + 1, number);
    }
    return true;
}

/* Reads an open file. Returns false when it does not hold whole lines. */
static bool read_counts(int fd, struct counts *counts)
{
    struct stat stat;
    ssize_t length = fstat(fd, &stat) == 0 && stat.st_size <= FILE_BYTES ? (ssize_t)stat.st_size : 0;
    char *text = memory_new(1, (size_t)length + 1);
    bool good = length > 0 && pread(fd, text, (size_t)length, 0) == length && parse_counts(text, counts);

    free(text);
    return good;
}

/* One write, in which every line keeps its place, so that nobody reads half of a file. */
static void write_counts(struct counts *counts)
{
    char *text;
    size_t length;
    FILE *to = memory_open_stream(&text, &length);

    fprintf(to, "since %s\n", counts->since);
    for (size_t i = 0; i < counts->count; i++)
        fprintf(to, "%*" PRIu64 " %s\n", NUMBER_WIDTH, counts->of[i].number, counts->of[i].key);
    memory_close_stream(to);
    (void)!pwrite(counts->fd, text, length, 0);
    free(text);
    counts->changed = false;
    counts->written_ms = clock_monotonic_ms();
}

static int open_counts_file(int spool, const char *folder, unsigned number, int flags)
{
    char name[64];

    snprintf(name, sizeof name, "%s/%u", folder, number);
    return openat(spool, name, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

/* Opens and locks the first file that no other process has locked. Returns -1 with errno. */
static int take_counts_file(int spool, const char *folder)
{
    for (unsigned number = 0; number < FILES_MAX; number++) {
        int fd = open_counts_file(spool, folder, number, O_CREAT);

        if (fd < 0 && errno == ENOENT && number == 0 && mkdirat(spool, folder, 0700) == 0)
            fd = open_counts_file(spool, folder, number, O_CREAT);
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

/* ---- counting ---- */

enum result counts_open(int spool, const char *folder, struct counts **counts, struct err *err)
{
    int fd = take_counts_file(spool, folder);

    *counts = NULL;
    if (fd < 0) {
        err_set_errno(err, "cannot use a file in the spool's folder %s", folder);
        return RESULT_FAIL;
    }
    *counts = memory_new(1, sizeof **counts);
    (*counts)->fd = fd;
    if (!read_counts(fd, *counts)) {
        reset_counts(*counts);
        (void)!ftruncate(fd, 0);
    }
    return RESULT_OK;
}

void counts_add(struct counts *counts, const char *key, uint64_t number)
{
    if (counts == NULL)
        return;
    add_number(&counts->of, &counts->count, key, number);
    counts->changed = true;
}

int counts_write_due(struct counts *counts)
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

void counts_close(struct counts *counts)
{
    if (counts != NULL && counts->changed)
        write_counts(counts);
    counts_abandon(counts);
}

void counts_abandon(struct counts *counts)
{
    if (counts == NULL)
        return;
    close(counts->fd);
    free_keys(counts->of, counts->count);
    free(counts);
}

/* ---- sums ---- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct count_total *)a)->key, ((const struct count_total *)b)->key);
}

static void add_file(struct count_totals *totals, const struct counts *counts)
{
    for (size_t i = 0; i < counts->count; i++)
        add_number(&totals->totals, &totals->count, counts->of[i].key, counts->of[i].number);
    if (*totals->since == '\0' || strcmp(counts->since, totals->since) < 0)
        memcpy(totals->since, counts->since, sizeof totals->since);
}

void counts_read(int spool, const char *folder, struct count_totals *totals)
{
    memset(totals, 0, sizeof *totals);
    for (unsigned number = 0; number < FILES_MAX; number++) {
        struct counts counts = {.fd = open_counts_file(spool, folder, number, 0)};
        pid_t holder;

        if (counts.fd < 0)
            break; /* they are made in this order, and nobody removes one */
        holder = lock_holder(counts.fd);
        if (holder != 0 && (holder > 0 || errno == ESRCH)) {
            totals->processes++;
            totals->pid = holder > 0 ? holder : -1;
        }
        if (read_counts(counts.fd, &counts))
            add_file(totals, &counts);
        free_keys(counts.of, counts.count);
        close(counts.fd);
    }
    if (totals->count > 0)
        qsort(totals->totals, totals->count, sizeof *totals->totals, compare_keys);
}

void counts_free_totals(struct count_totals *totals)
{
    free_keys(totals->totals, totals->count);
    *totals = (struct count_totals){0};
}

uint64_t counts_total(const struct count_totals *totals, const char *key)
{
    const struct count_total *found = find_key(totals->totals, totals->count, key);

    return found != NULL ? found->number : 0;
}
