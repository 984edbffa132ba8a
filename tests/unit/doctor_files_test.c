/*
 * SPDX-License-Identifier: ISC
 *
 * What candhook doctor says of a spool on file systems that cannot be had for a test: of the network, in memory,
 * without inodes, with a quota that is used up, or that cannot lock or sync. The linker puts the fakes in the C
 * library's place.
 */
#include <config.h>

#include "tool/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/lock.h"
#include "tap.h"

static unsigned long fake_type;      /* 0: none */
static long fake_inodes, fake_bytes; /* that are free; -1: as it is */
static int fail_lock, fail_room, fail_sync;

int __real_fstatfs(int fd, struct statfs *system);
int __wrap_fstatfs(int fd, struct statfs *system);
int __real_fstatvfs(int fd, struct statvfs *space);
int __wrap_fstatvfs(int fd, struct statvfs *space);
bool __real_lock_take(int fd);
bool __wrap_lock_take(int fd);
int __wrap_posix_fallocate(int fd, off_t offset, off_t length);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fstatfs(int fd, struct statfs *system)
{
    int result = __real_fstatfs(fd, system);

    if (fake_type != 0)
        system->f_type = (__fsword_t)fake_type;
    else
        system->f_type = EXT4_SUPER_MAGIC;
    return result;
}

int __wrap_fstatvfs(int fd, struct statvfs *space)
{
    int result = __real_fstatvfs(fd, space);

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

int __wrap_fdatasync(int fd)
{
    errno = EIO;
    return fail_sync ? -1 : __real_fdatasync(fd);
}

/* ---- what it says ---- */

static char said[8192];

__attribute__((format(printf, 3, 0))) static void say(const char *word, const char *subject, const char *format,
                                                      va_list args)
{
    size_t length = strlen(said);

    length += (size_t)snprintf(said + length, sizeof said - length, "%s %s: ", word, subject);
    length += (size_t)vsnprintf(said + length, sizeof said - length, format, args);
    snprintf(said + length, sizeof said - length, "\n");
}

void doctor_ok(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    (void)doctor;
    va_start(args, format);
    say("ok", subject, format, args);
    va_end(args);
}

void doctor_note(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    (void)doctor;
    va_start(args, format);
    say("note", subject, format, args);
    va_end(args);
}

void doctor_wrong(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    doctor->wrong++;
    va_start(args, format);
    say("WRONG", subject, format, args);
    va_end(args);
}

/* ---- the cases ---- */

struct spool_case {
    const char *name;
    unsigned long type;
    long inodes, bytes;
    int fail_lock, fail_room, fail_sync;
    unsigned wrong;
    const char *said; /* stands in what it says */
};

static const struct spool_case cases[] = {
    {"a local disk", 0, -1, -1, 0, 0, 0, 0, "ok spool: "},
    {"NFS", NFS_SUPER_MAGIC, -1, -1, 0, 0, 0, 1, "lies on NFS, where locks and syncs cannot be trusted"},
    {"CIFS", 0xFF534D42, -1, -1, 0, 0, 0, 1, "lies on CIFS"},
    {"SMB", 0xFE534D42, -1, -1, 0, 0, 0, 1, "lies on SMB"},
    {"tmpfs", TMPFS_MAGIC, -1, -1, 0, 0, 0, 0, "note spool: "},
    {"FUSE", 0x65735546, -1, -1, 0, 0, 0, 0, "lies on FUSE"},
    {"overlay", OVERLAYFS_SUPER_MAGIC, -1, -1, 0, 0, 0, 0, "ok spool: "},
    {"little space", 0, -1, 60 << 20, 0, 0, 0, 1, "WRONG space: 60 MiB are free"},
    {"not much space", 0, -1, 100 << 20, 0, 0, 0, 0, "note space: 100 MiB are free"},
    {"no inodes", 0, 0, -1, 0, 0, 0, 1, "no room for another file (inodes)"},
    {"few inodes", 0, 10, -1, 0, 0, 0, 0, "room for 10 files only (inodes)"},
    {"no locks", 0, -1, -1, 1, 0, 0, 1, "cannot be locked: No locks available"},
    {"a quota that is used up", 0, -1, -1, 0, EDQUOT, 0, 1, "the quota of this user is used up"},
    {"no room after all", 0, -1, -1, 0, ENOSPC, 0, 1, "cannot be given room: No space left"},
    {"a disk that does not sync", 0, -1, -1, 0, 0, 1, 1, "cannot be synced: Input/output error"},
};

static void check_case(const struct spool_case *one, const struct conf *conf)
{
    struct doctor doctor = {.conf = conf, .spool.folder = -1};

    fake_type = one->type;
    fake_inodes = one->inodes;
    fake_bytes = one->bytes;
    fail_lock = one->fail_lock;
    fail_room = one->fail_room;
    fail_sync = one->fail_sync;
    said[0] = '\0';
    doctor_check_spool(&doctor);
    if (!ok(doctor.wrong == one->wrong && strstr(said, one->said) != NULL, "%s", one->name))
        printf("# %u wrong: %s\n", doctor.wrong, said);
    inspect_close(&doctor.spool);
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
