/*
 * SPDX-License-Identifier: ISC
 *
 * The writing side of the spool: the order of its steps, sealing, a full disk, the folder.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool_fakes.h"
#include "spool_rig.h"
#include "tap.h"

/* ---- the order of things ---- */

static void test_order(void)
{
    struct spool_writer *writer;
    struct segment_record many[500];
    uint8_t ids[1][UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    ok(rig_count(&rig, ".", ".seg") == 0 && rig_count(&rig, ".", ".new") == 0,
       "before the first append there is no file");
    ok(fake_append_one(writer, 300, ids[0]) == RESULT_OK, "an event is appended");
    is_text(fake.log, "fstatvfs openat lock pwrite fdatasync renameat fsync pwritev fdatasync ",
            "made, locked, header synced, renamed, folder synced, and only then the record, synced");
    fake.log[0] = '\0';
    for (size_t i = 0; i < 500; i++)
        many[i] = rig_event(100);
    ok(fake_append(writer, many, 500) == RESULT_OK, "a batch of 500 is appended");
    is_text(fake.log, "fstatvfs pwritev fdatasync ", "with one write and one sync");
    fake.log[0] = '\0';
    ok(fake_append(writer, many, 0) == RESULT_OK && fake.log[0] == '\0',
       "nothing is appended without touching the disk");
    fake_end(writer);
    is_text(fake.log, "pwrite ftruncate ", "the end seals it");
    ok(fake_all_there(&rig, ids, 1), "all is there");
    spool_writer_free(NULL);
    rig_close(&rig);
    fake_reset();
}

/* A large batch has memory of its own, which the next one does not get. */
static void test_large_batch(void)
{
    uint8_t ids[3][UUID_BYTES];
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    ok(fake_append_one(writer, 3u << 20, ids[0]) == RESULT_OK && fake_append_one(writer, 200, ids[1]) == RESULT_OK &&
           fake_append_one(writer, 3u << 20, ids[2]) == RESULT_OK,
       "a large batch, a small one and a large one are appended");
    fake_end(writer);
    ok(fake_all_there(&rig, ids, 3), "all is there");
    rig_close(&rig);
    fake_reset();
}

/* ---- a full disk ---- */

static void test_short_writes(void)
{
    uint8_t ids[3][UUID_BYTES];
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    ok(fake_append_one(writer, 200, ids[0]) == RESULT_OK, "an event is appended");
    fake.short_writes = 1;
    ok(fake_append_one(writer, 200, ids[1]) == RESULT_OK, "a short write is continued once");
    fake.short_writes = 2;
    ok(fake_append_one(writer, 200, ids[2]) == RESULT_RETRY, "a second short one is an error");
    ok(strstr(fake_err.text, strerror(ENOSPC)) != NULL, "that says no space: %s", fake_err.text);
    ok(fake_append_one(writer, 200, ids[2]) == RESULT_OK, "the next event is appended");
    ok(rig_count(&rig, ".", ".seg") == 2, "in a new segment");
    fake_end(writer);
    ok(fake_all_there(&rig, ids, 3), "all that was acknowledged is there");
    rig_close(&rig);
    fake_reset();
}

/* The kernel's own short write and error, by the limit of a file's size. */
static int append_over_limit(void *context)
{
    const struct rig *rig = context;
    const struct rlimit limit = {1000, 1000};
    struct spool_writer *writer = spool_writer_new(rig->folder, &fake_limits_roomy);
    uint8_t ids[4][UUID_BYTES];
    int fine;

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    fine = fake_append_one(writer, 300, ids[0]) == RESULT_OK && fake_append_one(writer, 300, ids[1]) == RESULT_OK;
    fine = fine && fake_append_one(writer, 300, ids[2]) == RESULT_RETRY; /* 40 + 3 * 344 */
    fine = fine && fake_append_one(writer, 300, ids[2]) == RESULT_OK;
    fake_end(writer);
    memcpy(ids[3], ids[2], UUID_BYTES);
    return fine && fake_all_there(rig, ids, 4) ? 0 : 1;
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
    ok(fake_append_one(writer, 200, ids[0]) == RESULT_RETRY, "with less than min_free nothing is taken");
    ok(strstr(fake_err.text, "40 MiB are free") && strstr(fake_err.text, "50 MiB"), "and it is said: %s",
       fake_err.text);
    ok(rig_count(&rig, ".", ".new") + rig_count(&rig, ".", ".seg") == 0, "no file is made");
    fake.free_bytes = 50u << 20;
    ok(fake_append_one(writer, 200, ids[0]) == RESULT_RETRY, "nor when the event itself would go below");
    fake.free_bytes = 51u << 20;
    ok(fake_append_one(writer, 200, ids[0]) == RESULT_OK, "with more it goes on");
    fake_end(writer);
    ok(fake_all_there(&rig, ids, 1), "and is there");
    rig_close(&rig);
    fake_reset();
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
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    ok(fake_append_one(writer, 200, ids[0]) == RESULT_OK && (segment_stat(&rig).st_mode & 07777) == 0600,
       "segments are 0600");
    fake_end(writer);
    rig_close(&rig);
    umask(before);
    fake_reset();
}

static void test_folder(void)
{
    char path[200];
    struct rig rig;
    int fd;

    rig_open(&rig);
    ok(spool_open(rig.path, &fd, &fake_err) == RESULT_OK, "the folder is opened again");
    close(fd);
    chmod(rig.path, 0750);
    ok(spool_open(rig.path, &fd, &fake_err) == RESULT_FAIL && strstr(fake_err.text, "chmod 700"),
       "one for the group is refused: %s", fake_err.text);
    chmod(rig.path, 0700);
    if (geteuid() == 0 && chown(rig.path, 65534, 65534) != 0)
        exit(99);
    snprintf(path, sizeof path, "%s", geteuid() == 0 ? rig.path : "/");
    ok(spool_open(path, &fd, &fake_err) == RESULT_FAIL && strstr(fake_err.text, "belongs to user ") &&
           strstr(fake_err.text, geteuid() == 0 ? "user nobody" : "user root") &&
           strstr(fake_err.text, "runs as user "),
       "another user's is refused by name: %s", fake_err.text);
    snprintf(path, sizeof path, "%s/none/spool", rig.top);
    ok(spool_open(path, &fd, &fake_err) == RESULT_FAIL && strstr(fake_err.text, path), "one without a parent is: %s",
       fake_err.text);
    snprintf(path, sizeof path, "%s/file", rig.top);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    ok(spool_open(path, &fd, &fake_err) == RESULT_FAIL && strstr(fake_err.text, path), "a file is: %s", fake_err.text);
    rig_close(&rig);
}

static void test_beyond_limits(void)
{
    struct segment_record record = rig_event(10);
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    record.body_length = SEGMENT_BODY_BYTES + 1;
    ok(fake_append(writer, &record, 1) == RESULT_FAIL, "a body that no segment can hold is refused for good");
    record.body_length = 10;
    record.flag = SEGMENT_SEAL;
    ok(fake_append(writer, &record, 1) == RESULT_FAIL && fake.log[0] == '\0', "so is a seal, and nothing is written");
    fake_end(writer);
    rig_close(&rig);
    fake_reset();
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

        bytes = segment_parse_name(name + 2, ".seg", id) ? rig_read(rig, name, &length) : NULL;
        count += bytes && length > SEGMENT_RECORD_HEADER_BYTES &&
                 segment_get_record(bytes + length - SEGMENT_RECORD_HEADER_BYTES, SEGMENT_RECORD_HEADER_BYTES, id,
                                    &record, &size) == SEGMENT_GOOD &&
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
        if (fake_append(writer, &record, 1) != RESULT_OK)
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
    writer = spool_writer_new(rig.folder, &fake_limits_small);
    ok(fake_seal_due(writer) == -1, "without a segment there is nothing to seal");
    fake_append_one(writer, 400, ids[0]);
    ok(sealed(&rig) == 0, "a small segment stays open");
    fake_append_one(writer, 400, ids[1]);
    ok(sealed(&rig) == 1 && fake_seal_due(writer) == -1, "one that is large enough is sealed");
    fake_append_one(writer, 10, ids[2]);
    left = fake_seal_due(writer);
    ok(left > 1000 && left <= 2000, "idleness is the next reason: in %d ms", left);
    fake.later_ms += 3000;
    ok(fake_seal_due(writer) == -1 && sealed(&rig) == 2, "an idle one is sealed");
    fake_end(writer);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    fake_append_one(writer, 10, ids[3]);
    keep_busy(writer, 59);
    ok(sealed(&rig) == 2, "one in use is not");
    left = fake_seal_due(writer);
    ok(left > 0 && left <= 1000, "until it is old: in %d ms", left);
    fake.later_ms += 1000;
    ok(fake_seal_due(writer) == -1, "then it is sealed, too");
    fake_end(writer);
    ok(sealed(&rig) == rig_count(&rig, ".", ".seg") && fake_all_there(&rig, ids, 4),
       "all are sealed, and all is there");
    rig_close(&rig);
    fake_reset();
}

static void test_zeros(void)
{
    struct spool_writer *writer;
    uint8_t ids[1][UUID_BYTES];
    struct rig rig;
    off_t size;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    fake_append_one(writer, 301, ids[0]);
    keep_busy(writer, 50);
    size = segment_stat(&rig).st_size;
    ok(size > 51 * 41 + 300 && size % 4096 == 0, "the file is written ahead with zeros, in whole blocks");
    keep_busy(writer, 1);
    ok(segment_stat(&rig).st_size == size, "so that an append does not make it longer");
    fake.log[0] = '\0';
    fake_end(writer);
    ok(sealed(&rig) == 1 && fake_all_there(&rig, ids, 1), "the seal takes the zeros back");
    rig_close(&rig);
    fake_reset();
}

/* ---- somebody removes the segment ---- */

static const struct rig *removing_rig;

/* Removes the segment before the sync of an append: its first step is to ask for free space, its second the write. */
static void remove_before_sync(void)
{
    char name[128];

    if (fake.steps == 2 && rig_name(removing_rig, ".", ".seg", 0, name))
        unlinkat(removing_rig->folder, name, 0);
}

static void test_removed(void)
{
    struct spool_writer *writer;
    uint8_t ids[3][UUID_BYTES];
    char name[128];
    struct rig rig;

    rig_open(&rig);
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    fake_append_one(writer, 100, ids[0]);
    if (!rig_name(&rig, ".", ".seg", 0, name) || unlinkat(rig.folder, name, 0) != 0)
        exit(99);
    ok(fake_append_one(writer, 100, ids[0]) == RESULT_OK && rig_count(&rig, ".", ".seg") == 1,
       "when somebody has removed the segment, the next event goes to a new one");
    removing_rig = &rig;
    fake.steps = 0;
    fake.before = remove_before_sync;
    ok(fake_append_one(writer, 100, ids[1]) == RESULT_OK && rig_count(&rig, ".", ".seg") == 1,
       "so it does when the segment is removed before the sync");
    fake.before = NULL;
    ok(fake_append_one(writer, 100, ids[2]) == RESULT_OK, "and the writer goes on");
    fake_end(writer);
    ok(fake_all_there(&rig, ids + 1, 2), "what was acknowledged after that is there");
    rig_close(&rig);
    fake_reset();
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
    int fine = fake_append_one(inherited, 100, child->id) == RESULT_OK;

    if (fine && write(child->pipe_end, child->id, UUID_BYTES) != UUID_BYTES)
        fine = 0;
    fake_end(inherited);
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
    inherited = spool_writer_new(rig.folder, &fake_limits_roomy);
    fake_append_one(inherited, 100, ids[0]);
    ok(rig_run(append_in_child, &child) == 0, "a child made by fork appends, and ends its copy of the writer");
    ok(rig_count(&rig, ".", ".seg") == 2 && sealed(&rig) == 1, "in a segment of its own; the parent's is not sealed");
    fake_append_one(inherited, 100, ids[1]);
    ok(rig_count(&rig, ".", ".seg") == 2, "the parent goes on in its own");
    fake_end(inherited);
    if (read(ends[0], ids[2], UUID_BYTES) != UUID_BYTES)
        exit(99);
    ok(fake_all_there(&rig, ids, 3), "all of both are there");
    close(ends[0]);
    close(ends[1]);
    rig_close(&rig);
    fake_reset();
}

int main(void)
{
    test_order();
    test_large_batch();
    test_short_writes();
    test_space();
    test_permissions();
    test_folder();
    test_beyond_limits();
    test_sealing();
    test_zeros();
    test_removed();
    test_fork();
    rig_forget_bodies();
    return done();
}
