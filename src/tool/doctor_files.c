/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: the files of this machine. The spool is tried for real: a file in it is locked, given room, written,
 * synced and removed.
 */
#include <config.h>

#include "base/lock.h"
#include "base/memory.h"
#include "http/url.h"
#include "tool/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TRIAL "doctor.trial"
#define TRIAL_BYTES (1024 * 1024) /* about what a segment needs */
#define FEW_FILES 1000

#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef CEPH_SUPER_MAGIC
#define CEPH_SUPER_MAGIC 0x00c36400
#endif

/* ---- secrets ---- */

static void check_secret_lengths(struct doctor *doctor)
{
    size_t count = secrets_count(doctor->secrets), unlabelled = 0;

    for (size_t i = 0; i < count; i++) {
        struct secrets_about about;

        secrets_tell(doctor->secrets, i, &about);
        unlabelled += *about.label == '\0';
        if (about.length < SECRETS_GOOD_BYTES)
            doctor_wrong(doctor, "URL secrets",
                         "%s:%u: the secret that begins with %s has %zu characters, and can perhaps be guessed: make "
                         "another (candhook url new), change the URL in the App's settings, and retire this one",
                         doctor->conf->url_secrets, about.line, about.shown, about.length);
    }
    if (count > 1 && unlabelled > 0)
        doctor_note(doctor, "URL secrets", "%zu of %zu have no label, so it is hard to tell which is in use",
                    unlabelled, count);
    doctor_ok(doctor, "URL secrets", "%zu in %s", count, doctor->conf->url_secrets);
}

void doctor_check_secrets(struct doctor *doctor)
{
    struct err err;

    if (secrets_load(&doctor->secrets, doctor->conf->url_secrets, &err) != RESULT_OK)
        doctor_wrong(doctor, "URL secrets", "%s", err.text);
    else if (secrets_count(doctor->secrets) == 0)
        doctor_wrong(doctor, "URL secrets", "%s says `none`, so every event is refused: candhook url new",
                     doctor->conf->url_secrets);
    else
        check_secret_lengths(doctor);
    if (*doctor->conf->base_url == '\0')
        doctor_note(doctor, "base_url", "is not set; `candhook url new` prints whole URLs when it is");
    else if (strncmp(doctor->conf->base_url, "https://", 8) != 0 && !url_is_local(doctor->conf->base_url))
        doctor_note(doctor, "base_url", "%s is not https: the secret travels in clear", doctor->conf->base_url);
}

/* ---- the spool ---- */

/* Returns the name of a file system whose locks or syncs cannot be trusted (*BAD), or with a limit to know; else NULL.
 */
static const char *known_file_system(unsigned long type, bool *bad)
{
    static const struct {
        unsigned long type;
        bool bad;
        const char *text;
    } systems[] = {
        {NFS_SUPER_MAGIC, true, "NFS"},
        {SMB_SUPER_MAGIC, true, "SMB"},
        {SMB2_SUPER_MAGIC, true, "SMB"},
        {CIFS_SUPER_MAGIC, true, "CIFS"},
        {AFS_SUPER_MAGIC, true, "AFS"},
        {CEPH_SUPER_MAGIC, true, "Ceph"},
        {TMPFS_MAGIC, false, "tmpfs, in memory: events that are not recorded are lost when the machine stops"},
        {RAMFS_MAGIC, false, "ramfs, in memory: events that are not recorded are lost when the machine stops"},
        {FUSE_SUPER_MAGIC, false, "FUSE: whether it locks and syncs depends on the program behind it"},
        {V9FS_MAGIC, false, "9p: whether it locks and syncs depends on the machine behind it"},
    };

    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        if (systems[i].type == type) {
            *bad = systems[i].bad;
            return systems[i].text;
        }
    }
    return NULL;
}

static void check_spool_file_system(struct doctor *doctor)
{
    struct statfs system = {0};
    const char *known;
    bool bad = false;

    (void)fstatfs(doctor->spool.folder, &system); /* what it does not tell is no file system that we know */
    known = known_file_system((unsigned long)system.f_type & 0xffffffff, &bad);
    if (known != NULL && bad)
        doctor_wrong(doctor, "spool",
                     "%s lies on %s, where locks and syncs cannot be trusted: an answered event may be lost. Put the "
                     "spool on a local disk (stop all programs, move the folder, change `spool`)",
                     doctor->conf->spool, known);
    else if (known != NULL)
        doctor_note(doctor, "spool", "%s lies on %s", doctor->conf->spool, known);
}

static void check_spool_space(struct doctor *doctor)
{
    struct statvfs space;
    uint64_t available;
    char is[32], wanted[32];

    if (fstatvfs(doctor->spool.folder, &space) != 0)
        return;
    available = (uint64_t)space.f_bavail * space.f_frsize;
    inspect_size(available, is);
    inspect_size(doctor->conf->min_free, wanted);
    if (available < doctor->conf->min_free)
        doctor_wrong(doctor, "space",
                     "%s are free at %s, less than min_free (%s): every event is answered with 503. Make room", is,
                     doctor->conf->spool, wanted);
    else if (available < 2 * doctor->conf->min_free)
        doctor_note(doctor, "space", "%s are free at %s; with less than min_free (%s) events are refused", is,
                    doctor->conf->spool, wanted);
    else
        doctor_ok(doctor, "space", "%s are free", is);
    if (space.f_files > 0 && space.f_favail == 0)
        doctor_wrong(doctor, "space", "the file system of %s has no room for another file (inodes): remove some",
                     doctor->conf->spool);
    else if (space.f_files > 0 && space.f_favail < FEW_FILES)
        doctor_note(doctor, "space", "the file system of %s has room for %ju files only (inodes)", doctor->conf->spool,
                    (uintmax_t)space.f_favail);
}

/* Does what a responder does with a segment. Returns the step that failed, with errno, or NULL. */
static const char *try_segment(int folder, int fd)
{
    char bytes[4096] = {0};

    if (!lock_take(fd))
        return "locked";
    errno = posix_fallocate(fd, 0, TRIAL_BYTES);
    if (errno != 0)
        return "allocated";
    if (pwrite(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return "written";
    if (fdatasync(fd) != 0 || fsync(folder) != 0)
        return "synced";
    return NULL;
}

static void try_spool(struct doctor *doctor)
{
    int folder = doctor->spool.folder, reason;
    int fd = openat(folder, TRIAL, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    const char *failed = fd < 0 ? "made" : try_segment(folder, fd);

    reason = errno;
    if (fd >= 0) {
        unlinkat(folder, TRIAL, 0);
        close(fd);
    }
    if (failed == NULL)
        doctor_ok(doctor, "spool", "%s: a file can be locked, written and synced", doctor->conf->spool);
    else if (reason == EDQUOT)
        doctor_wrong(
            doctor, "spool",
            "the quota of this user is used up where %s lies: events are answered with 503. Make room, or ask for "
            "more",
            doctor->conf->spool);
    else
        doctor_wrong(doctor, "spool", "a file in %s cannot be %s: %s", doctor->conf->spool, failed, strerror(reason));
}

/* Whether the spool does not exist, and this user could create it. */
static bool can_be_created(const char *spool)
{
    char *copy;
    bool creatable;

    if (access(spool, F_OK) == 0 || errno != ENOENT)
        return false;
    copy = memory_copy_text(spool);
    creatable = faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) == 0;
    free(copy);
    return creatable;
}

void doctor_check_spool(struct doctor *doctor)
{
    struct err err;

    doctor->has_spool = inspect_spool(&doctor->spool, doctor->conf, NULL, &err) == RESULT_OK;
    if (!doctor->has_spool && can_be_created(doctor->conf->spool)) {
        doctor_note(doctor, "spool", "%s does not exist yet: candhook.fcgi creates it when it first runs",
                    doctor->conf->spool);
        return;
    }
    if (!doctor->has_spool) {
        doctor_wrong(doctor, "spool", "%s", err.text);
        return;
    }
    check_spool_file_system(doctor);
    check_spool_space(doctor);
    try_spool(doctor);
    if (doctor->spool.depth.damaged > 0)
        doctor_wrong(doctor, "damaged",
                     "%s/damaged holds %zu files: the disk lost bytes. The log tells when; look at the disk, then move "
                     "them away",
                     doctor->conf->spool, doctor->spool.depth.damaged);
    if (doctor->spool.depth.torn > 0)
        doctor_note(doctor, "torn",
                    "%s/damaged holds %zu torn ends of segments: mostly of requests whose program was killed before it "
                    "answered them; move them away",
                    doctor->conf->spool, doctor->spool.depth.torn);
}

/* ---- other files ---- */

static void check_log_file(struct doctor *doctor)
{
    const char *log = doctor->conf->log;
    char *copy, *folder;
    struct stat st;

    if (*log != '/') {
        doctor_ok(doctor, "log", "goes to %s", log);
        return;
    }
    copy = memory_copy_text(log);
    folder = dirname(copy);
    if (stat(log, &st) == 0 ? faccessat(AT_FDCWD, log, W_OK, AT_EACCESS) != 0
                            : faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
        doctor_wrong(doctor, "log",
                     "%s cannot be written: %s. Give %s to the user that the programs run as, or change `log`", log,
                     strerror(errno), stat(log, &st) == 0 ? log : folder);
    else
        doctor_ok(doctor, "log", "%s", log);
    free(copy);
}

void doctor_check_files(struct doctor *doctor)
{
    const char *program = doctor->conf->worker_program;

    check_log_file(doctor);
    if (access(program, X_OK) != 0)
        doctor_wrong(doctor, "worker_program",
                     "%s cannot be run: %s. No worker can be started: name the installed candhook there", program,
                     strerror(errno));
}
