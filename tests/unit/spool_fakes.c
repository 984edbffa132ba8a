/*
 * SPDX-License-Identifier: ISC
 *
 * See spool_fakes.h.
 */
#include <config.h>

#include "spool_fakes.h"
#include "spool_wraps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fake fake = {.witness = -1};
struct err fake_err;

static int is_same_file(int a, int b)
{
    struct stat one, two;

    return fstat(a, &one) == 0 && fstat(b, &two) == 0 && one.st_ino == two.st_ino && one.st_dev == two.st_dev;
}

/* ---- what a power cut takes ---- */

static struct {
    struct {
        int fd; /* a copy; never closed, since that would let go of the lock */
        off_t from, to;
    } writes[64];
    int write_count;
    int folder; /* of the entry that is not synced */
    char entry[64];
} unsynced;

static void note_write(int fd, off_t offset, ssize_t length)
{
    if (!fake.armed || !fake.power_cut || length <= 0)
        return;
    if (unsynced.write_count == 64)
        abort();
    unsynced.writes[unsynced.write_count].fd = dup(fd);
    unsynced.writes[unsynced.write_count].from = offset;
    unsynced.writes[unsynced.write_count++].to = offset + length;
}

static void note_sync(int fd)
{
    int left = 0;

    for (int i = 0; i < unsynced.write_count; i++)
        if (!is_same_file(fd, unsynced.writes[i].fd))
            unsynced.writes[left++] = unsynced.writes[i];
    unsynced.write_count = left;
}

/* Of each write that was not synced, every other block is lost; an entry of the folder is lost whole. */
static void die(void)
{
    static const char zeros[512];

    for (int i = 0; i < unsynced.write_count; i++) {
        off_t to = unsynced.writes[i].to, next;

        for (off_t at = unsynced.writes[i].from; at < to; at = next) {
            next = at - at % 512 + 512 < to ? at - at % 512 + 512 : to;
            if ((at / 512 + fake.at) % 2)
                __real_pwrite(unsynced.writes[i].fd, zeros, (size_t)(next - at), at);
        }
    }
    if (unsynced.entry[0])
        unlinkat(unsynced.folder, unsynced.entry, 0);
    raise(SIGKILL);
}

/* ---- the steps ---- */

/* Whether the fault is due at the step that is counted. */
static int is_due(void)
{
    return fake.armed && fake.at > 0 && (fake.steps == fake.at || (fake.lasts && fake.steps > fake.at));
}

static int fault_errno(void)
{
    return fake.error != 0 ? fake.error : EIO;
}

/* Before the call. Returns 1 when it is to fail. */
static int step(const char *name, int fd)
{
    if (!fake.armed)
        return 0;
    if (fake.before) {
        fake.armed = 0;
        fake.before();
        fake.armed = 1;
    }
    snprintf(fake.log + strlen(fake.log), sizeof fake.log - strlen(fake.log), "%s ", name);
    if (fake.witness >= 0 && fd >= 0 && is_same_file(fd, fake.witness))
        fake.touched = 1;
    fake.steps++;
    if (!is_due())
        return 0;
    if (fake.fault == KILL_BEFORE)
        die();
    errno = fault_errno();
    return fake.fault == FAIL_BEFORE;
}

/* After the call: gives its result, or the failure that is due. */
static long stepped(long result, int fd)
{
    struct stat st;

    if (!is_due())
        return result;
    if (fake.fault == KILL_AFTER)
        die();
    if (fake.fault != FAIL_BEFORE && fake.fault != FAIL_AFTER)
        return result;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fake.witness < 0)
        fake.witness = dup(fd);
    errno = fault_errno();
    return -1;
}

int __wrap_openat(int folder, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list args;
    int fd;

    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    fd = step("openat", -1) ? -1 : __real_openat(folder, name, flags, mode);
    if (stepped(fd, -1) < 0 && fd >= 0)
        return close(fd), errno = fault_errno(), -1;
    return fd;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    int failed = step("pwrite", fd);

    fake.in_seal |= fake.armed && fake.steps == fake.at && offset > 0 && fake.short_writes == 0;
    if (!failed && fake.armed && fake.short_writes > 0) {
        fake.short_writes--;
        length /= 2;
    }
    if (!failed)
        note_write(fd, offset, (ssize_t)length);
    return stepped(failed ? -1 : __real_pwrite(fd, bytes, length, offset), fd);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    int failed = step("pwritev", fd);
    ssize_t put;

    if (!failed && fake.armed && fake.short_writes > 0) {
        fake.short_writes--;
        return __real_pwrite(fd, parts->iov_base, parts->iov_len / 2, offset);
    }
    put = failed ? -1 : __real_pwritev(fd, parts, count, offset);
    note_write(fd, offset, put);
    return stepped(put, fd);
}

int __wrap_fdatasync(int fd)
{
    int result = step("fdatasync", fd) ? -1 : __real_fdatasync(fd);

    if (result == 0)
        note_sync(fd);
    return (int)stepped(result, fd);
}

int __wrap_fsync(int fd)
{
    int result = step("fsync", fd) ? -1 : __real_fsync(fd);

    if (result == 0)
        unsynced.entry[0] = '\0';
    return (int)stepped(result, fd);
}

int __wrap_ftruncate(int fd, off_t length)
{
    int failed = step("ftruncate", fd);

    fake.in_seal |= fake.armed && fake.steps == fake.at;
    return (int)stepped(failed ? -1 : __real_ftruncate(fd, length), fd);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    int result = step("renameat", -1) ? -1 : __real_renameat(from, old, to, new);

    if (result == 0 && fake.power_cut) {
        snprintf(unsynced.entry, sizeof unsynced.entry, "%.60s", new);
        unsynced.folder = to;
    }
    return (int)stepped(result, -1);
}

bool __wrap_lock_take(int fd)
{
    return stepped(step("lock", fd) || !__real_lock_take(fd) ? -1 : 0, fd) == 0;
}

int __wrap_fstatvfs(int fd, struct statvfs *fs)
{
    int result = step("fstatvfs", -1) ? -1 : __real_fstatvfs(fd, fs);

    if (fake.free_bytes > 0)
        fs->f_bavail = fake.free_bytes / fs->f_frsize;
    return (int)stepped(result, -1);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (clock == CLOCK_MONOTONIC)
        now->tv_sec += (time_t)(fake.later_ms / 1000);
    return result;
}

void fake_reset(void)
{
    if (fake.witness >= 0)
        close(fake.witness);
    memset(&fake, 0, sizeof fake);
    fake.witness = -1;
}

const struct spool_writer_limits fake_limits_small = {
    .segment_bytes = 700, .age_ms = 60000, .idle_ms = 2000, .min_free = 1};
const struct spool_writer_limits fake_limits_roomy = {
    .segment_bytes = 16u << 20, .age_ms = 60000, .idle_ms = 2000, .min_free = 1};

enum result fake_append(struct spool_writer *writer, const struct segment_record *records, size_t count)
{
    enum result result;

    fake.armed = 1;
    result = spool_writer_append(writer, records, count, &fake_err);
    fake.armed = 0;
    return result;
}

enum result fake_append_one(struct spool_writer *writer, size_t length, uint8_t id[UUID_BYTES])
{
    struct segment_record record = rig_event(length);

    memcpy(id, record.id, UUID_BYTES);
    return fake_append(writer, &record, 1);
}

int fake_seal_due(struct spool_writer *writer)
{
    int left;

    fake.armed = 1;
    left = spool_writer_seal_due(writer);
    fake.armed = 0;
    return left;
}

void fake_end(struct spool_writer *writer)
{
    fake.armed = 1;
    spool_writer_free(writer);
    fake.armed = 0;
}

int fake_all_there(const struct rig *rig, uint8_t (*ids)[UUID_BYTES], int count)
{
    struct rig_database database = {0};
    int fine = rig_drain_once(rig, &database) >= 0 && database.broken == 0 && database.damages == 0;

    for (int i = 0; i < count; i++)
        fine &= rig_has(&database, ids[i]);
    fine &= rig_count(rig, ".", ".seg") == 0;
    rig_database_free(&database);
    return fine;
}
