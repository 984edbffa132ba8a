/*
 * SPDX-License-Identifier: ISC
 *
 * A look at a spool. Nothing is made and nothing is locked: a spool that is not there is not there afterwards.
 */
#include <config.h>

#include "tool/inspect.h"

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

/* When a process began, from /proc; 0 when that cannot be told. */
static time_t began(pid_t pid)
{
    char path[64], text[1024], *at;
    struct timespec since_boot;
    long long ticks = 0;
    FILE *file;
    size_t length;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    at = strrchr(text, ')'); /* behind the name, which may hold anything; field 3 follows */
    for (int field = 3; at != NULL && field <= 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0)
        return 0;
    ticks = strtoll(at, NULL, 10);
    return time(NULL) - (since_boot.tv_sec - (time_t)(ticks / sysconf(_SC_CLK_TCK)));
}

static void find_worker(struct inspection *look)
{
    int fd = openat(look->folder, SPOOL_WORKER_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    look->worker = lock_holder(fd);
    if (look->worker < 0 && errno != ESRCH)
        look->worker = 0;
    if (look->worker > 0)
        look->worker_since = began(look->worker);
    close(fd);
}

static uint64_t recorded(const void *context, const uint8_t segment[UUID_BYTES])
{
    const struct store_facts *facts = context;
    char id[UUID_TEXT];

    uuid_text(segment, id);
    for (size_t i = 0; facts != NULL && i < facts->count; i++)
        if (strcmp(facts->facts[i].area, "position") == 0 && strcmp(facts->facts[i].name, id) == 0)
            return strtoull(facts->facts[i].value, NULL, 10);
    return 0;
}

enum result inspect_spool(struct inspection *look, const struct conf *conf, const struct store_facts *facts,
                          struct err *err)
{
    memset(look, 0, sizeof *look);
    look->folder = -1;
    if (access(conf->spool, F_OK) != 0) {
        err_set_errno(err, "cannot look into the spool %s, which candhook.fcgi makes when it first runs", conf->spool);
        return RESULT_FAIL;
    }
    if (spool_open(conf->spool, &look->folder, err) != RESULT_OK) {
        look->folder = -1;
        return RESULT_FAIL;
    }
    find_worker(look);
    look->stopped = faccessat(look->folder, SPOOL_STOPPED, F_OK, 0) == 0;
    answer_counts_read(look->folder, &look->answers);
    return spool_depth_count(look->folder, recorded, facts, &look->depth, err);
}

void inspect_close(struct inspection *look)
{
    if (look->folder >= 0)
        close(look->folder);
    look->folder = -1;
}

long inspect_oldest_seconds(const struct inspection *look)
{
    int64_t age = look->depth.oldest_ms > 0 ? clock_real_ms() - (int64_t)look->depth.oldest_ms : 0;

    return age > 0 ? (long)(age / 1000) : 0;
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
