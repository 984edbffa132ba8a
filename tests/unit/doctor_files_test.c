/*
 * SPDX-License-Identifier: ISC
 *
 * What candhook doctor reports of a spool on file systems that a test cannot have: of the network, in memory, without
 * inodes, with a quota that is used up, or without locks or syncs. The linker puts the fakes in the C library's place.
 */
#include <config.h>

#include "base/lock.h"
#include "base/memory.h"
#include "tap.h"
#include "tool/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

static unsigned long fake_type;      /* 0: a local one */
static long fake_inodes, fake_bytes; /* that are free; -1: many */
static bool fail_lock, fail_sync, fail_write, fail_stats;
static int fail_room; /* what posix_fallocate returns */

int __real_fstatfs(int fd, struct statfs *system);
int __wrap_fstatfs(int fd, struct statfs *system);
int __real_fstatvfs(int fd, struct statvfs *space);
int __wrap_fstatvfs(int fd, struct statvfs *space);
bool __real_lock_take(int fd);
bool __wrap_lock_take(int fd);
int __wrap_posix_fallocate(int fd, off_t offset, off_t length);
ssize_t __real_pwrite(int fd, const void *bytes, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fstatfs(int fd, struct statfs *system)
{
    int result = fail_stats ? -1 : __real_fstatfs(fd, system);

    if (fail_stats)
        return result;
    if (fake_type != 0)
        system->f_type = (__fsword_t)fake_type;
    else
        system->f_type = EXT4_SUPER_MAGIC;
    return result;
}

int __wrap_fstatvfs(int fd, struct statvfs *space)
{
    int result = __real_fstatvfs(fd, space);

    if (fail_stats)
        return memset(space, 0, sizeof *space), -1;
    space->f_files = 1000000;
    space->f_favail = fake_inodes >= 0 ? (fsfilcnt_t)fake_inodes : 500000;
    space->f_frsize = 4096;
    space->f_bavail = fake_bytes >= 0 ? (fsblkcnt_t)fake_bytes / 4096 : 1u << 30;
    return result;
}

bool __wrap_lock_take(int fd)
{
    errno = ENOLCK;
    return !fail_lock && __real_lock_take(fd);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t length)
{
    (void)fd;
    (void)offset;
    (void)length;
    return fail_room;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    errno = EIO;
    return fail_write ? -1 : __real_pwrite(fd, bytes, length, offset);
}

int __wrap_fdatasync(int fd)
{
    errno = EIO;
    return fail_sync ? -1 : __real_fdatasync(fd);
}

/* ---- the cases ---- */

struct spool_case {
    const char *name;
    const char *line; /* the report has it */
    unsigned long type;
    long inodes, bytes;
    bool fail_lock, fail_sync, fail_write, fail_stats;
    int fail_room;
    unsigned wrong;
};

#define MANY .inodes = -1, .bytes = -1

static const struct spool_case cases[] = {
    {"a local disk", "ok     spool ", MANY},
    {"NFS", "lies on NFS, where locks and syncs cannot be trusted", NFS_SUPER_MAGIC, MANY, .wrong = 1},
    {"CIFS", "lies on CIFS", 0xFF534D42, MANY, .wrong = 1},
    {"SMB", "lies on SMB", 0xFE534D42, MANY, .wrong = 1},
    {"tmpfs", "note   spool ", TMPFS_MAGIC, MANY},
    {"FUSE", "lies on FUSE", 0x65735546, MANY},
    {"overlay", "ok     spool ", OVERLAYFS_SUPER_MAGIC, MANY},
    {"little space", "WRONG  space          60 MiB are free", .inodes = -1, .bytes = 60 << 20, .wrong = 1},
    {"not much space", "note   space          100 MiB are free", .inodes = -1, .bytes = 100 << 20},
    {"no inodes", "no room for another file (inodes)", .inodes = 0, .bytes = -1, .wrong = 1},
    {"few inodes", "room for 10 files only (inodes)", .inodes = 10, .bytes = -1},
    {"no locks", "cannot be locked: No locks available", MANY, .fail_lock = true, .wrong = 1},
    {"a quota that is used up", "the quota of this user is used up", MANY, .fail_room = EDQUOT, .wrong = 1},
    {"no room after all", "cannot be allocated: No space left", MANY, .fail_room = ENOSPC, .wrong = 1},
    {"a disk that does not write", "cannot be written: Input/output error", MANY, .fail_write = true, .wrong = 1},
    {"a file system that tells nothing of itself", "ok     spool ", NFS_SUPER_MAGIC, .fail_stats = true},
    {"a disk that does not sync", "cannot be synced: Input/output error", MANY, .fail_sync = true, .wrong = 1},
};

static void check_case(const struct spool_case *one, const struct conf *conf)
{
    char *report;
    size_t size;
    struct doctor doctor = {.out = memory_open_stream(&report, &size), .conf = conf, .spool.folder = -1};

    fake_type = one->type;
    fake_inodes = one->inodes;
    fake_bytes = one->bytes;
    fail_lock = one->fail_lock;
    fail_room = one->fail_room;
    fail_sync = one->fail_sync;
    fail_write = one->fail_write;
    fail_stats = one->fail_stats;
    doctor_check_spool(&doctor);
    memory_close_stream(doctor.out);
    if (!ok(doctor.wrong == one->wrong && strstr(report, one->line) != NULL, "%s", one->name))
        printf("# %u wrong: %s\n", doctor.wrong, report);
    free(report);
    doctor_free(&doctor);
}

int main(void)
{
    const char *temp = getenv("TMPDIR");
    char folder[PATH_MAX];
    struct conf conf = {.min_free = 64 << 20};

    snprintf(folder, sizeof folder, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    conf.spool = mkdtemp(folder);
    if (conf.spool == NULL) {
        printf("Bail out! %s\n", strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i], &conf);
    ok(rmdir(folder) == 0, "nothing is left behind");
    return done();
}
