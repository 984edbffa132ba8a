/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "status/inspect.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/uuid.h"
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDING_SECONDS 60 /* an event that waits longer to be recorded tells of a stall, */
#define DUE_SECONDS 300      /* and so does a delivery that could run for longer */
#define START_SECONDS 10     /* a worker is started within this time when one is needed */

/* Returns when a process began, from /proc; 0 when that cannot be told. */
static time_t process_start(pid_t pid)
{
    char path[64], text[1024] = "", *at;
    struct timespec since_boot;
    long long ticks;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    /* Behind the end of the name, which may hold anything, field 3 follows. */
    at = file != NULL && fread(text, 1, sizeof text - 1, file) > 0 ? strrchr(text, ')') : NULL;
    if (file != NULL)
        fclose(file);
    for (int field = 3; at != NULL && field <= 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return 0; /* it has just ended, or is hidden from this user */
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    ticks = strtoll(at, NULL, 10);
    return time(NULL) - (since_boot.tv_sec - (time_t)(ticks / sysconf(_SC_CLK_TCK)));
}

static void find_worker(struct inspection *spool)
{
    int fd = openat(spool->folder, SPOOL_WORKER_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    spool->worker = lock_holder(fd);
    if (spool->worker < 0 && errno != ESRCH)
        spool->worker = 0;
    if (spool->worker > 0)
        spool->worker_since = process_start(spool->worker);
    close(fd);
}

/* Returns the position of a segment by the facts of CONTEXT. A spool_depth_fn. */
static uint64_t position_of_segment(const void *context, const uint8_t segment[UUID_BYTES])
{
    const struct store_facts *facts = context;
    char id[UUID_TEXT];

    uuid_text(segment, id);
    for (size_t i = 0; facts != NULL && i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "position") == 0 && strcmp(facts->facts[i].name, id) == 0)
            return strtoull(facts->facts[i].value, NULL, 10);
    return 0;
}

enum result inspect_spool(struct inspection *spool, const struct conf *conf, const struct store_facts *facts,
                          struct err *err)
{
    memset(spool, 0, sizeof *spool);
    spool->folder = -1;
    if (access(conf->spool, F_OK) != 0) {
        err_set_errno(err, "cannot look into the spool %s, which candhook.fcgi makes when it first runs", conf->spool);
        return RESULT_FAIL;
    }
    if (spool_open(conf->spool, &spool->folder, err) != RESULT_OK) {
        spool->folder = -1;
        return RESULT_FAIL;
    }
    find_worker(spool);
    spool->stopped = faccessat(spool->folder, SPOOL_STOPPED, F_OK, 0) == 0;
    counts_read(spool->folder, COUNTS_ANSWERS, &spool->answers);
    counts_read(spool->folder, COUNTS_OUTCOMES, &spool->outcomes);
    return spool_depth_count(spool->folder, position_of_segment, facts, &spool->depth, err);
}

void inspect_close(struct inspection *spool)
{
    if (spool->folder >= 0)
        close(spool->folder);
    spool->folder = -1;
    counts_free_totals(&spool->answers);
    counts_free_totals(&spool->outcomes);
}

long inspect_number(const struct store_facts *facts, const char *area, const char *key)
{
    return strtol(store_find_fact(facts, area, key), NULL, 10);
}

bool inspect_has_due(const struct store_facts *facts)
{
    return strspn(store_find_fact(facts, "deliveries", "oldest_due_s"), "0123456789") > 0;
}

static long oldest_unrecorded_seconds(const struct inspection *spool)
{
    int64_t age = spool->depth.oldest_ms > 0 ? clock_real_ms() - (int64_t)spool->depth.oldest_ms : 0;

    return age > 0 ? (long)(age / 1000) : 0;
}

struct inspect_backlog inspect_judge(const struct inspection *spool, const struct store_facts *facts)
{
    struct inspect_backlog backlog = {.unrecorded_s = oldest_unrecorded_seconds(spool)};

    if (facts != NULL)
        backlog.due_s = inspect_number(facts, "deliveries", "oldest_due_s");
    backlog.recording_stalled = backlog.unrecorded_s > RECORDING_SECONDS;
    backlog.handling_stalled = backlog.due_s > DUE_SECONDS;
    backlog.worker_missing =
        spool->worker == 0 && (backlog.unrecorded_s > START_SECONDS || backlog.due_s > START_SECONDS);
    return backlog;
}

const char *inspect_age(long seconds, char text[32])
{
    if (seconds < 120)
        snprintf(text, 32, "%ld s", seconds);
    else if (seconds < 120 * 60)
        snprintf(text, 32, "%ld min", seconds / 60);
    else if (seconds < 48 * 3600)
        snprintf(text, 32, "%ld h", seconds / 3600);
    else
        snprintf(text, 32, "%ld days", seconds / 86400);
    return text;
}

const char *inspect_size(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    size_t unit = 0;

    while (bytes >= 10240 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, 32, "%ju %s", (uintmax_t)bytes, units[unit]);
    return text;
}
