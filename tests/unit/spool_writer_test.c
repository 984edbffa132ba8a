/*
 * SPDX-License-Identifier: ISC
 *
 * The writing side of the spool. Linked with fakes of everything by which it touches the disk, so that each step can
 * fail, be the last one before kill -9, or be preceded by a reader.
 */
#include <config.h>

#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "spool_rig.h"
#include "tap.h"

/* ---- the fakes ---- */

enum fault { NONE, FAIL_BEFORE, FAIL_AFTER, KILL_BEFORE, KILL_AFTER };

static struct {
    int armed; /* only while the writer runs */
    enum fault fault;
    int at;        /* the step that fails, from 1 */
    int steps;     /* so far */
    int in_seal;   /* the step that failed belongs to a seal */
    int witness;   /* a descriptor of the file whose step failed, -1: none */
    int touched;   /* it was touched again */
    char log[400]; /* the steps' names */
    void (*before)(void);
    int short_writes; /* so many writes do half of what they should */
    uint64_t free_bytes;
    int64_t later_ms; /* the clock is ahead by so much */
} fake = {.witness = -1};

int __real_openat(int folder, const char *name, int flags, mode_t mode);
int __wrap_openat(int folder, const char *name, int flags, ...);
ssize_t __real_pwrite(int fd, const void *bytes, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *parts, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __real_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new);
int __real_fstatvfs(int fd, struct statvfs *fs);
int __wrap_fstatvfs(int fd, struct statvfs *fs);
int __real_lock_take(int fd);
int __wrap_lock_take(int fd);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static int is_same_file(int a, int b)
{
    struct stat one, two;

    return fstat(a, &one) == 0 && fstat(b, &two) == 0 && one.st_ino == two.st_ino && one.st_dev == two.st_dev;
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
    if (++fake.steps != fake.at)
        return 0;
    if (fake.fault == KILL_BEFORE)
        raise(SIGKILL);
    errno = EIO;
    return fake.fault == FAIL_BEFORE;
}

/* After the call: gives its result, or the failure that is due. */
static long stepped(long result, int fd)
{
    struct stat st;

    if (!fake.armed || fake.steps != fake.at)
        return result;
    if (fake.fault == KILL_AFTER)
        raise(SIGKILL);
    if (fake.fault != FAIL_BEFORE && fake.fault != FAIL_AFTER)
        return result;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fake.witness < 0)
        fake.witness = dup(fd);
    errno = EIO;
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
        return close(fd), errno = EIO, -1;
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
    return stepped(failed ? -1 : __real_pwrite(fd, bytes, length, offset), fd);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    int failed = step("pwritev", fd);

    if (!failed && fake.armed && fake.short_writes > 0) {
        fake.short_writes--;
        return __real_pwrite(fd, parts->iov_base, parts->iov_len / 2, offset);
    }
    return stepped(failed ? -1 : __real_pwritev(fd, parts, count, offset), fd);
}

int __wrap_fdatasync(int fd)
{
    return (int)stepped(step("fdatasync", fd) ? -1 : __real_fdatasync(fd), fd);
}

int __wrap_fsync(int fd)
{
    return (int)stepped(step("fsync", fd) ? -1 : __real_fsync(fd), fd);
}

int __wrap_ftruncate(int fd, off_t length)
{
    int failed = step("ftruncate", fd);

    fake.in_seal |= fake.armed && fake.steps == fake.at;
    return (int)stepped(failed ? -1 : __real_ftruncate(fd, length), fd);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    return (int)stepped(step("renameat", -1) ? -1 : __real_renameat(from, old, to, new), -1);
}

int __wrap_lock_take(int fd)
{
    return (int)stepped(step("lock", fd) ? -1 : __real_lock_take(fd), fd);
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

static void reset_fakes(void)
{
    if (fake.witness >= 0)
        close(fake.witness);
    memset(&fake, 0, sizeof fake);
    fake.witness = -1;
}

/* ---- helpers ---- */

static const struct spool_writer_limits small = {.segment_bytes = 700, .age_ms = 60000, .idle_ms = 2000, .min_free = 1};
static const struct spool_writer_limits roomy = {
    .segment_bytes = 16u << 20, .age_ms = 60000, .idle_ms = 2000, .min_free = 1};

static struct err err;

static enum result append(struct spool_writer *writer, const struct segment_record *records, size_t count)
{
    enum result result;

    fake.armed = 1;
    result = spool_writer_append(writer, records, count, &err);
    fake.armed = 0;
    return result;
}

/* Appends one event of LENGTH bytes. *ID is it. */
static enum result append_one(struct spool_writer *writer, size_t length, uint8_t id[UUID_BYTES])
{
    struct segment_record record = rig_event(length);

    memcpy(id, record.id, UUID_BYTES);
    return append(writer, &record, 1);
}

static int tend(struct spool_writer *writer)
{
    int left;

    fake.armed = 1;
    left = spool_writer_tend(writer);
    fake.armed = 0;
    return left;
}

static void end(struct spool_writer *writer)
{
    fake.armed = 1;
    spool_writer_free(writer);
    fake.armed = 0;
}

/* Whether everything in the spool reads well, and these ids are there. */
static int all_there(const struct rig *rig, uint8_t (*ids)[UUID_BYTES], int count)
{
    struct rig_database database = {0};
    int fine = rig_drain_once(rig, &database) >= 0 && database.broken == 0 && database.damages == 0;

    for (int i = 0; i < count; i++)
        fine &= rig_has(&database, ids[i]);
    fine &= rig_count(rig, ".", ".seg") == 0;
    rig_database_free(&database);
    return fine;
}

/* ---- the order of things ---- */

static void test_order(void)
{
    struct spool_writer *writer;
    struct segment_record many[500];
    uint8_t ids[1][UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &roomy);
    ok(rig_count(&rig, ".", ".seg") == 0 && rig_count(&rig, ".", ".new") == 0,
       "before the first append there is no file");
    ok(append_one(writer, 300, ids[0]) == RESULT_OK, "an event is appended");
    is_text(fake.log, "fstatvfs openat lock pwrite fdatasync renameat fsync pwritev fdatasync ",
            "made, locked, header synced, renamed, folder synced, and only then the record, synced");
    fake.log[0] = '\0';
    for (size_t i = 0; i < 500; i++)
        many[i] = rig_event(100);
    ok(append(writer, many, 500) == RESULT_OK, "a batch of 500 is appended");
    is_text(fake.log, "fstatvfs pwritev fdatasync ", "with one write and one sync");
    fake.log[0] = '\0';
    ok(append(writer, many, 0) == RESULT_OK && fake.log[0] == '\0', "nothing is appended without touching the disk");
    end(writer);
    is_text(fake.log, "pwrite ftruncate ", "the end seals it");
    ok(all_there(&rig, ids, 1), "all is there");
    spool_writer_free(NULL);
    rig_close(&rig);
    reset_fakes();
}

/* ---- every step fails ---- */

#define ROUND 6 /* appends: births, appends to an open segment, and a seal by size */

/* Appends until the end, counting what was acknowledged. Returns how many were refused. */
static int appends(struct spool_writer *writer, uint8_t (*ids)[UUID_BYTES], int *acknowledged, int tell)
{
    int refused = 0;

    *acknowledged = 0;
    for (int i = 0; i < ROUND; i++) {
        enum result result = append_one(writer, 200, ids[*acknowledged]);

        refused += result == RESULT_RETRY;
        *acknowledged += result == RESULT_OK;
        if (result == RESULT_OK && tell >= 0 && write(tell, ids[*acknowledged - 1], UUID_BYTES) != UUID_BYTES)
            _exit(98);
    }
    return refused;
}

/* Returns 0 when the round has fewer steps. */
static int fail_at(int at, enum fault fault)
{
    const char *when = fault == FAIL_BEFORE ? "is not done" : "is done and fails";
    uint8_t ids[ROUND][UUID_BYTES];
    struct spool_writer *writer;
    int acknowledged, refused, steps;
    char failed[40] = "";
    struct rig rig;

    rig_open(&rig);
    fake.fault = fault;
    fake.at = at;
    writer = spool_writer_new(rig.folder, &small);
    refused = appends(writer, ids, &acknowledged, -1);
    end(writer);
    steps = fake.steps;
    if (steps >= at) {
        const char *name = fake.log;

        for (int i = 1; i < at; i++)
            name = strchr(name, ' ') + 1;
        snprintf(failed, sizeof failed, "%.*s", (int)strcspn(name, " "), name);
        ok(refused == !fake.in_seal && acknowledged == ROUND - refused, "step %d (%s) %s: %s, and all others work", at,
           failed, when, fake.in_seal ? "no harm" : "one RETRY");
        ok(!fake.touched, "step %d (%s) %s: the segment is not touched again", at, failed, when);
        fake.at = 0;
        ok(rig_count(&rig, ".", ".new") <= (strcmp(failed, "openat") == 0) && all_there(&rig, ids, acknowledged),
           "step %d (%s) %s: what was acknowledged is there, nothing is left behind", at, failed, when);
    }
    rig_close(&rig);
    reset_fakes();
    return steps >= at;
}

static void test_failures(void)
{
    int steps = 0;

    while (fail_at(steps + 1, FAIL_BEFORE))
        steps++;
    ok(steps > 25, "there were enough steps");
    for (int at = 1; at <= steps; at++)
        fail_at(at, FAIL_AFTER);
}

/* ---- kill -9 at every step ---- */

struct victim {
    const struct rig *rig;
    int acks[2];
};

static int append_and_tell(void *context)
{
    struct victim *victim = context;
    struct spool_writer *writer = spool_writer_new(victim->rig->folder, &small);
    uint8_t ids[ROUND][UUID_BYTES];
    int acknowledged;

    appends(writer, ids, &acknowledged, victim->acks[1]);
    end(writer);
    return 0;
}

static int kill_at(int at, enum fault fault)
{
    uint8_t ids[ROUND][UUID_BYTES];
    struct victim victim;
    int acknowledged = 0, status;
    struct rig rig;

    rig_open(&rig);
    victim.rig = &rig;
    if (pipe(victim.acks) != 0)
        exit(99);
    fake.fault = fault;
    fake.at = at;
    status = rig_run(append_and_tell, &victim);
    close(victim.acks[1]);
    while (acknowledged < ROUND && read(victim.acks[0], ids[acknowledged], UUID_BYTES) == UUID_BYTES)
        acknowledged++;
    close(victim.acks[0]);
    reset_fakes();
    if (status != 0)
        ok(status == 128 + SIGKILL && all_there(&rig, ids, acknowledged),
           "killed %s step %d: all %d acknowledged are there", fault == KILL_BEFORE ? "before" : "after", at,
           acknowledged);
    rig_close(&rig);
    return status != 0;
}

static void test_kills(void)
{
    int steps = 0;

    while (kill_at(steps + 1, KILL_BEFORE))
        steps++;
    ok(steps > 25, "there were enough steps");
    for (int at = 1; at <= steps; at++)
        kill_at(at, KILL_AFTER);
}

/* ---- a reader at every step ---- */

static const struct rig *read_rig;
static int readers, readers_failed;

static int read_all(void *context)
{
    struct rig_database database = {0};

    (void)context;
    return rig_drain_once(read_rig, &database) < 0 || database.broken || database.damages;
}

static void run_reader(void)
{
    readers++;
    readers_failed += rig_run(read_all, NULL) != 0;
}

static void test_readers(void)
{
    uint8_t ids[ROUND][UUID_BYTES];
    struct spool_writer *writer;
    int acknowledged;
    struct rig rig;

    rig_open(&rig);
    read_rig = &rig;
    fake.before = run_reader;
    writer = spool_writer_new(rig.folder, &roomy);
    ok(appends(writer, ids, &acknowledged, -1) == 0, "appends work while a reader runs before every step");
    run_reader();
    ok(readers > 20 && readers_failed == 0, "%d readers found nothing amiss", readers);
    ok(rig_count(&rig, ".", ".seg") == 1, "and left the living segment alone");
    fake.before = NULL;
    end(writer);
    ok(all_there(&rig, ids, acknowledged), "so that all that was acknowledged is read");
    rig_close(&rig);
    reset_fakes();
}

/* ---- a full disk ---- */

static void test_short_writes(void)
{
    uint8_t ids[3][UUID_BYTES];
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &roomy);
    ok(append_one(writer, 200, ids[0]) == RESULT_OK, "an event is appended");
    fake.short_writes = 1;
    ok(append_one(writer, 200, ids[1]) == RESULT_OK, "a short write is continued once");
    fake.short_writes = 2;
    ok(append_one(writer, 200, ids[2]) == RESULT_RETRY, "a second short one is an error");
    ok(strstr(err.text, strerror(ENOSPC)) != NULL, "that says no space: %s", err.text);
    ok(append_one(writer, 200, ids[2]) == RESULT_OK, "the next event is appended");
    ok(rig_count(&rig, ".", ".seg") == 2, "in a new segment");
    end(writer);
    ok(all_there(&rig, ids, 3), "all that was acknowledged is there");
    rig_close(&rig);
    reset_fakes();
}

/* The kernel's own short write and error, by the limit of a file's size. */
static int append_over_limit(void *context)
{
    const struct rig *rig = context;
    const struct rlimit limit = {1000, 1000};
    struct spool_writer *writer = spool_writer_new(rig->folder, &roomy);
    uint8_t ids[4][UUID_BYTES];
    int fine;

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    fine = append_one(writer, 300, ids[0]) == RESULT_OK && append_one(writer, 300, ids[1]) == RESULT_OK;
    fine = fine && append_one(writer, 300, ids[2]) == RESULT_RETRY; /* 40 + 3 * 344 */
    fine = fine && append_one(writer, 300, ids[2]) == RESULT_OK;
    end(writer);
    memcpy(ids[3], ids[2], UUID_BYTES);
    return fine && all_there(rig, ids, 4) ? 0 : 1;
}

static void test_space(void)
{
    struct spool_writer_limits limits = spool_writer_defaults;
    uint8_t ids[1][UUID_BYTES];
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    ok(rig_run(append_over_limit, &rig) == 0, "a file that cannot grow: RETRY, and on in a new one");
    limits.min_free = 50u << 20;
    writer = spool_writer_new(rig.folder, &limits);
    fake.free_bytes = 40u << 20;
    ok(append_one(writer, 200, ids[0]) == RESULT_RETRY, "with less than min_free nothing is taken");
    ok(strstr(err.text, "40 MiB are free") && strstr(err.text, "50 MiB"), "and it is said: %s", err.text);
    ok(rig_count(&rig, ".", ".new") + rig_count(&rig, ".", ".seg") == 0, "no file is made");
    fake.free_bytes = 50u << 20;
    ok(append_one(writer, 200, ids[0]) == RESULT_RETRY, "nor when the event itself would go below");
    fake.free_bytes = 51u << 20;
    ok(append_one(writer, 200, ids[0]) == RESULT_OK, "with more it goes on");
    end(writer);
    ok(all_there(&rig, ids, 1), "and is there");
    rig_close(&rig);
    reset_fakes();
}

/* ---- the folder ---- */

/* What stat says of the only segment. */
static struct stat segment_stat(const struct rig *rig)
{
    struct stat st = {0};
    char name[128];

    if (!rig_name(rig, ".", ".seg", 0, name) || fstatat(rig->folder, name, &st, 0) != 0)
        st.st_size = -1;
    return st;
}

static void test_permissions(void)
{
    mode_t before = umask(0);
    struct spool_writer *writer;
    uint8_t ids[1][UUID_BYTES];
    struct stat st;
    struct rig rig;

    rig_open(&rig);
    ok(fstat(rig.folder, &st) == 0 && (st.st_mode & 07777) == 0700, "the folder is 0700, also when the umask is 0");
    ok(fcntl(rig.folder, F_GETFD) & FD_CLOEXEC, "its descriptor is close-on-exec");
    writer = spool_writer_new(rig.folder, &roomy);
    ok(append_one(writer, 200, ids[0]) == RESULT_OK && (segment_stat(&rig).st_mode & 07777) == 0600,
       "segments are 0600");
    end(writer);
    rig_close(&rig);
    umask(before);
    reset_fakes();
}

static void test_folder(void)
{
    char path[200];
    struct rig rig;
    int fd;

    rig_open(&rig);
    ok(spool_open(rig.path, &fd, &err) == RESULT_OK, "the folder is opened again");
    close(fd);
    chmod(rig.path, 0750);
    ok(spool_open(rig.path, &fd, &err) == RESULT_FAIL && strstr(err.text, "chmod 700"),
       "one for the group is refused: %s", err.text);
    chmod(rig.path, 0700);
    if (geteuid() == 0 && chown(rig.path, 65534, 65534) != 0)
        exit(99);
    snprintf(path, sizeof path, "%s", geteuid() == 0 ? rig.path : "/");
    ok(spool_open(path, &fd, &err) == RESULT_FAIL && strstr(err.text, "belongs to user ") &&
           strstr(err.text, geteuid() == 0 ? "uid 65534" : "uid 0") && strstr(err.text, "runs as user "),
       "another user's is refused by name: %s", err.text);
    snprintf(path, sizeof path, "%s/none/spool", rig.top);
    ok(spool_open(path, &fd, &err) == RESULT_FAIL && strstr(err.text, path), "one without a parent is: %s", err.text);
    snprintf(path, sizeof path, "%s/file", rig.top);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    ok(spool_open(path, &fd, &err) == RESULT_FAIL && strstr(err.text, path), "a file is: %s", err.text);
    rig_close(&rig);
}

static void test_beyond_limits(void)
{
    struct segment_record record = rig_event(10);
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &roomy);
    record.body_length = SEGMENT_BODY_BYTES + 1;
    ok(append(writer, &record, 1) == RESULT_FAIL, "a body that no segment can hold is refused for good");
    record.body_length = 10;
    record.label_length = SEGMENT_LABEL_BYTES + 1;
    ok(append(writer, &record, 1) == RESULT_FAIL, "so is a label");
    record.label_length = 4;
    record.flag = SEGMENT_SEAL;
    ok(append(writer, &record, 1) == RESULT_FAIL && fake.log[0] == '\0', "and a seal, and nothing is written");
    end(writer);
    rig_close(&rig);
    reset_fakes();
}

/* ---- sealing ---- */

/* How many segments end with a seal. */
static int sealed(const struct rig *rig)
{
    char name[128];
    int count = 0;

    for (int i = 0; rig_name(rig, ".", ".seg", i, name); i++) {
        uint8_t id[UUID_BYTES], *bytes;
        struct segment_record record;
        size_t length = 0, size;

        bytes = segment_parse_name(name + 2, ".seg", id) == 0 ? rig_read(rig, name, &length) : NULL;
        count += bytes && length > SEGMENT_HEAD_BYTES &&
                 segment_get_record(bytes + length - SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES, id, &record, &size) ==
                     SEGMENT_GOOD &&
                 record.flag == SEGMENT_SEAL;
        free(bytes);
    }
    return count;
}

/* Appends one small event a second. */
static void keep_busy(struct spool_writer *writer, int seconds)
{
    while (seconds-- > 0) {
        struct segment_record record = rig_event(1);

        fake.later_ms += 1000;
        if (append(writer, &record, 1) != RESULT_OK)
            exit(99);
    }
}

static void test_sealing(void)
{
    struct spool_writer *writer;
    uint8_t ids[4][UUID_BYTES];
    struct rig rig;
    int left;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &small);
    ok(tend(writer) == -1, "without a segment there is nothing to tend");
    append_one(writer, 400, ids[0]);
    ok(sealed(&rig) == 0, "a small segment stays open");
    append_one(writer, 400, ids[1]);
    ok(sealed(&rig) == 1 && tend(writer) == -1, "one that is large enough is sealed");
    append_one(writer, 10, ids[2]);
    left = tend(writer);
    ok(left > 1000 && left <= 2000, "idleness is the next reason: in %d ms", left);
    fake.later_ms += 3000;
    ok(tend(writer) == -1 && sealed(&rig) == 2, "an idle one is sealed");
    end(writer);
    writer = spool_writer_new(rig.folder, &roomy);
    append_one(writer, 10, ids[3]);
    keep_busy(writer, 59);
    ok(sealed(&rig) == 2, "one in use is not");
    left = tend(writer);
    ok(left > 0 && left <= 1000, "until it is old: in %d ms", left);
    fake.later_ms += 1000;
    ok(tend(writer) == -1, "then it is sealed, too");
    end(writer);
    ok(sealed(&rig) == rig_count(&rig, ".", ".seg") && all_there(&rig, ids, 4), "all are sealed, and all is there");
    rig_close(&rig);
    reset_fakes();
}

static void test_zeros(void)
{
    struct spool_writer *writer;
    uint8_t ids[1][UUID_BYTES];
    struct rig rig;
    off_t size;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &roomy);
    append_one(writer, 301, ids[0]);
    keep_busy(writer, 50);
    size = segment_stat(&rig).st_size;
    ok(size > 51 * 44 + 300 && size % 4096 == 0, "the file is written ahead with zeros, in whole blocks");
    keep_busy(writer, 1);
    ok(segment_stat(&rig).st_size == size, "so that an append does not make it longer");
    fake.log[0] = '\0';
    end(writer);
    ok(sealed(&rig) == 1 && all_there(&rig, ids, 1), "the seal takes the zeros back");
    rig_close(&rig);
    reset_fakes();
}

/* ---- fork ---- */

static struct spool_writer *inherited;

struct child {
    uint8_t id[UUID_BYTES];
    int pipe_end;
};

static int append_in_child(void *context)
{
    struct child *child = context;
    int fine = append_one(inherited, 100, child->id) == RESULT_OK;

    if (fine && write(child->pipe_end, child->id, UUID_BYTES) != UUID_BYTES)
        fine = 0;
    end(inherited);
    return fine ? 0 : 1;
}

static void test_fork(void)
{
    struct child child;
    uint8_t ids[3][UUID_BYTES];
    int ends[2];
    struct rig rig;

    rig_open(&rig);
    if (pipe(ends) != 0)
        exit(99);
    child.pipe_end = ends[1];
    inherited = spool_writer_new(rig.folder, &roomy);
    append_one(inherited, 100, ids[0]);
    ok(rig_run(append_in_child, &child) == 0, "a child made by fork appends, and ends its copy of the writer");
    ok(rig_count(&rig, ".", ".seg") == 2 && sealed(&rig) == 1, "in a segment of its own; the parent's is not sealed");
    append_one(inherited, 100, ids[1]);
    ok(rig_count(&rig, ".", ".seg") == 2, "the parent goes on in its own");
    end(inherited);
    if (read(ends[0], ids[2], UUID_BYTES) != UUID_BYTES)
        exit(99);
    ok(all_there(&rig, ids, 3), "all of both are there");
    close(ends[0]);
    close(ends[1]);
    rig_close(&rig);
    reset_fakes();
}

int main(void)
{
    test_order();
    test_failures();
    test_kills();
    test_readers();
    test_short_writes();
    test_space();
    test_permissions();
    test_folder();
    test_beyond_limits();
    test_sealing();
    test_zeros();
    test_fork();
    rig_forget_bodies();
    return done();
}
