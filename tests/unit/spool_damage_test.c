/*
 * SPDX-License-Identifier: ISC
 *
 * The reading side of the spool: what it delivers of torn and rotten segments. Linked with fakes of pread and write
 * that can fail, and of mkdirat.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/spool_depth.h"
#include "spool_rig.h"
#include "tap.h"

static int disk_is_full, no_folders;
static int preads, pread_at, pread_error; /* this pread, from 1, fails once, with this errno; */
static off_t cut_to = -1;                 /* or the file is cut before it */
static off_t bad_from, bad_to;            /* the disk cannot read what touches this stretch */

ssize_t __real_pread(int fd, void *to, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t length, off_t offset);
ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);

int __real_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode);

int __wrap_mkdirat(int folder, const char *name, mode_t mode)
{
    if (no_folders) {
        errno = ENOSPC;
        return -1;
    }
    return __real_mkdirat(folder, name, mode);
}

ssize_t __wrap_pread(int fd, void *to, size_t length, off_t offset)
{
    if (++preads == pread_at && cut_to >= 0 && ftruncate(fd, cut_to) != 0)
        abort();
    if (preads == pread_at && cut_to < 0) {
        errno = pread_error;
        return -1;
    }
    if (offset < bad_to && offset + (off_t)length > bad_from) {
        errno = EIO;
        return -1;
    }
    return __real_pread(fd, to, length, offset);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
    if (disk_is_full) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, bytes, length);
}

/* ---- torn ends ---- */

/* Whether the copy in `damaged`, with SUFFIX, is the stretch. Removes it. */
static int copy_is_there(const struct rig *rig, const struct rig_segment *segment, size_t offset, size_t length,
                         const char *suffix)
{
    char name[128], id[UUID_TEXT];
    size_t size = 0;
    uint8_t *bytes;
    int same;

    snprintf(name, sizeof name, "damaged/%s.%zu%s", uuid_text(segment->id, id), offset, suffix);
    bytes = rig_read(rig, name, &size);
    same = bytes && size == length && memcmp(bytes, segment->bytes + offset, length) == 0;
    free(bytes);
    unlinkat(rig->folder, name, 0);
    return same;
}

/* Reads the segment cut off at LENGTH, in or before its third record, filled up with FILL zeros. */
static int torn_is_kept(const struct rig *rig, struct rig_segment *segment, size_t length, size_t fill)
{
    struct rig_database database = {0};
    size_t end = length, from = segment->offsets[2];
    uint8_t *bytes = calloc(1, length + fill);
    char name[SEGMENT_NAME_BYTES];
    int fine;

    memcpy(bytes, segment->bytes, length);
    rig_write(rig, segment_name(segment->id, ".seg", name), bytes, length + fill);
    free(bytes);
    while (end > from && segment->bytes[end - 1] == 0) /* looks like what was written ahead */
        end--;
    fine = rig_drain_once(rig, &database) == 1 && rig_has_just(&database, segment, "110") && database.damages == 0 &&
           rig_is_empty(rig) && database.torn == (end > from) &&
           (end == from || copy_is_there(rig, segment, from, end - from, ".torn")) &&
           rig_count(rig, "damaged", "") == 0;
    if (!fine)
        printf("# cut off at %zu, then %zu zeros: torn %zu, damages %zu, events %zu\n", length, fill, database.torn,
               database.damages, database.id_count);
    rig_database_free(&database);
    return fine;
}

static void test_torn(void)
{
    struct rig_segment segment;
    int fine = 1, zeros = 1;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    for (size_t length = segment.offsets[2]; length < segment.length; length++) {
        fine &= torn_is_kept(&rig, &segment, length, 0);
        zeros &= torn_is_kept(&rig, &segment, length, 5000);
    }
    ok(fine, "an end torn at any byte is kept and told, what is before it delivered");
    ok(zeros, "the same with the writer's zeros behind it");
    rig_segment_free(&segment);
    rig_close(&rig);
}

static void test_stale(void)
{
    struct rig_database database = {0};
    struct rig_segment segment, old;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&old, 3, 100);
    rig_segment_make(&segment, 3, 100);
    segment.bytes = realloc(segment.bytes, segment.length + old.length);
    memcpy(segment.bytes + segment.length, old.bytes + old.offsets[1], old.length - old.offsets[1]);
    rig_segment_save(&rig, &segment, segment.length + old.length - old.offsets[1]);
    ok(rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "111"),
       "records of another generation behind the end are not taken");
    ok(database.damages == 0 && database.torn == 1 && rig_is_empty(&rig), "they are a torn end");
    rig_segment_seal(&segment);
    segment.bytes = realloc(segment.bytes, segment.length + 200);
    memcpy(segment.bytes + segment.length, segment.bytes + segment.offsets[0], 144);
    rig_database_free(&database);
    rig_segment_save(&rig, &segment, segment.length + 144);
    ok(rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "111") && database.again == 0 &&
           rig_is_empty(&rig),
       "what follows a seal is not looked at");
    rig_segment_free(&segment);
    rig_segment_free(&old);
    rig_database_free(&database);
    rig_close(&rig);
}

/* ---- bit rot ---- */

/* Reads the segment with the byte AT changed, which lies in the second of three records. */
static int rot_is_stepped_over(const struct rig *rig, struct rig_segment *segment, size_t at)
{
    size_t offset = segment->offsets[1], length = segment->offsets[2] - offset;
    struct rig_database database = {0};
    int fine;

    segment->bytes[at] ^= 0x20;
    rig_segment_save(rig, segment, segment->length);
    fine = rig_drain_once(rig, &database) == 1 && rig_has_just(&database, segment, "101") && database.damages == 1 &&
           memcmp(database.damage.segment, segment->id, UUID_BYTES) == 0 && database.damage.offset == offset &&
           database.damage.length == length && rig_is_empty(rig) && copy_is_there(rig, segment, offset, length, "");
    if (!fine)
        printf("# changed at %zu: damages %zu, events %zu\n", at, database.damages, database.id_count);
    segment->bytes[at] ^= 0x20;
    rig_database_free(&database);
    return fine;
}

static void test_rot(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    struct stat st;
    int fine = 1;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    for (size_t at = segment.offsets[1]; at < segment.offsets[2]; at++)
        fine &= rot_is_stepped_over(&rig, &segment, at);
    ok(fine, "a changed byte anywhere in a record costs that record, which is kept and reported");
    rig_segment_seal(&segment);
    segment.bytes[segment.offsets[2]] ^= 1;
    umask(0);
    rig_segment_save(&rig, &segment, segment.length);
    ok(rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "110") && database.damages == 1,
       "the last record before the seal is no torn end");
    ok(fstatat(rig.folder, "damaged", &st, 0) == 0 && (st.st_mode & 07777) == 0700, "the folder damaged is 0700");
    ok(copy_is_there(&rig, &segment, segment.offsets[2], segment.offsets[3] - segment.offsets[2], ""),
       "the copy is there");
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* A long bad stretch, full of bytes that begin like a record, and a magic number at every offset of the reader's own
 * chunks. */
static void test_long_rot(void)
{
    struct rig_database database = {0};
    struct segment_record record;
    struct rig_segment segment;
    int fine = 1;
    struct rig rig;

    rig_open(&rig);
    for (size_t length = (256u << 10) - 100; length < (256u << 10) - 30; length++) {
        rig_segment_make(&segment, 1, 10);
        record = rig_event(length);
        rig_segment_put(&segment, &record);
        record = rig_event(10);
        rig_segment_put(&segment, &record);
        for (size_t i = segment.offsets[1]; i < segment.offsets[2]; i++)
            segment.bytes[i] = (const uint8_t[]){0xf5, 0x63, 0x48, 0xff}[i % 4];
        rig_segment_save(&rig, &segment, segment.length);
        fine &=
            rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "101") && database.damages == 1;
        rig_segment_free(&segment);
        rig_database_free(&database);
        rig_forget_bodies();
    }
    ok(fine, "behind a long bad stretch of false beginnings the next record is found");
    rig_close(&rig);
}

static void test_header_rot(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    char name[SEGMENT_NAME_BYTES], kept[128];
    int fine = 1;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    snprintf(kept, sizeof kept, "damaged/%s", segment_name(segment.id, ".seg", name));
    for (size_t at = 0; at < SEGMENT_HEADER_BYTES; at++) {
        segment.bytes[at] ^= 1;
        rig_segment_save(&rig, &segment, segment.length);
        fine &= rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "111") &&
                database.damages == 1 && database.damage.offset == 0 &&
                database.damage.length == SEGMENT_HEADER_BYTES && rig_is_empty(&rig) &&
                unlinkat(rig.folder, kept, 0) == 0;
        rig_database_free(&database);
        segment.bytes[at] ^= 1;
    }
    ok(fine, "behind a bad header the records are read, and the segment is moved to damaged");
    memset(segment.bytes, 0, segment.length);
    rig_segment_save(&rig, &segment, segment.length);
    ok(rig_drain_once(&rig, &database) == 1 && database.id_count == 0 && database.damages == 1 &&
           database.damage.length == segment.length && rig_is_empty(&rig) && unlinkat(rig.folder, kept, 0) == 0,
       "what holds nothing that can be read is moved whole, and reported");
    rig_segment_save(&rig, &segment, 0);
    ok(rig_drain_once(&rig, &database) == 1 && database.damages == 2 && rig_is_empty(&rig) &&
           unlinkat(rig.folder, kept, 0) == 0,
       "so is an empty file");
    rig_segment_save(&rig, &segment, 60);
    database.positions[0].offset = 60;
    ok(rig_drain_once(&rig, &database) == 1 && rig_is_empty(&rig) && unlinkat(rig.folder, kept, 0) == 0,
       "it is moved, not unlinked, also by a reader that finds it recorded");
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_damage_once(void)
{
    struct rig_database database = {0};
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    segment.bytes[segment.offsets[1] + 50] ^= 1;
    segment.length--;
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && batch->count == 1 && batch->damage_count == 1 && batch->damages[0].torn,
       "rot before a torn end cannot be told from it");
    rig_segment_free(&segment);
    rig_settle(reader, &database, batch);
    rig_segment_make(&segment, 4, 100);
    segment.bytes[segment.offsets[1] + 50] ^= 1;
    rig_segment_save(&rig, &segment, segment.length - 1);
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && batch->count == 2 && batch->damage_count == 2 && !batch->damages[0].torn && batch->damages[1].torn,
       "both are told with the batch");
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && batch->count == 2 && batch->damage_count == 0, "but not again with the same batch");
    ok(rig_settle(reader, &database, batch) == 1 && rig_drain(reader, &database) == 0 && rig_is_empty(&rig),
       "nor ever after");
    rig_segment_free(&segment);
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_copy_fails(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    segment.bytes[segment.offsets[1] + 50] ^= 1;
    rig_segment_save(&rig, &segment, segment.length);
    fflush(stdout);
    disk_is_full = 1;
    rig_drain_once(&rig, &database);
    disk_is_full = 0;
    ok(rig_has_just(&database, &segment, "101") && database.damages == 1 && rig_is_empty(&rig),
       "on a full disk rot is stepped over all the same");
    ok(rig_count(&rig, "damaged", ".seg") == 1, "and the whole segment is moved to damaged");
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* So full that nothing can be put aside. */
static void test_no_folder(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    segment.bytes[segment.offsets[1] + 50] ^= 1;
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    no_folders = 1;
    rig_settle(reader, &database, rig_next(reader, 100, 1 << 20));
    ok(rig_has_just(&database, &segment, "101") && database.damages == 1 && spool_reader_trouble(reader) != NULL &&
           strstr(spool_reader_trouble(reader)->text, "cannot remove segment") != NULL && !rig_is_empty(&rig),
       "without a folder damaged the segment stays: %s", spool_reader_trouble(reader)->text);
    no_folders = 0;
    rig_drain(reader, &database);
    ok(rig_is_empty(&rig) && rig_count(&rig, "damaged", ".seg") == 1 && database.again == 0,
       "and is moved when there can be one");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

static uint64_t recorded_none(const void *context, const uint8_t id[UUID_BYTES])
{
    (void)context;
    (void)id;
    return 0;
}

static void test_depth(void)
{
    struct rig_segment segment;
    struct spool_depth depth;
    struct err err;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 4, 100);
    segment.bytes[segment.offsets[1] + 20] ^= 1;
    rig_segment_save(&rig, &segment, segment.length - 10);
    ok(spool_depth_count(rig.folder, recorded_none, NULL, &depth, &err) == RESULT_OK && depth.segments == 1 &&
           depth.events == 2 && depth.bytes == 2 * (segment.offsets[1] - segment.offsets[0]),
       "the depth of the spool is that of the records, without rot and a torn end");
    rig_segment_free(&segment);
    rig_close(&rig);
}

/* Rot, then a record that is longer than what is read at once to find it, a good one, and a torn end. */
static void make_worst(struct rig_segment *segment)
{
    static const size_t lengths[] = {100, 100, 300000, 100, 100};

    rig_segment_new(segment);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct segment_record record = rig_event(lengths[i]);

        rig_segment_put(segment, &record);
    }
    segment->bytes[segment->offsets[1] + 20] ^= 1;
    segment->length -= 10;
}

/* The worst segment, read to its end while something happens to one of the reads. */
struct worst {
    struct rig rig;
    struct rig_segment segment;
    struct rig_database database;
    struct spool_reader *reader;
};

/* Before read number AT, that fails with ERROR, or the file is cut off (cut_to). Returns false when there are fewer
 * reads. */
static int read_worst(struct worst *worst, int at, int error)
{
    *worst = (struct worst){.reader = NULL};
    rig_open(&worst->rig);
    make_worst(&worst->segment);
    rig_segment_save(&worst->rig, &worst->segment, worst->segment.length);
    worst->reader = spool_reader_new(worst->rig.folder, 0, rig_position, &worst->database);
    preads = 0;
    pread_at = at;
    pread_error = error;
    for (int i = 0; i < 3; i++)
        rig_drain(worst->reader, &worst->database);
    pread_at = 0;
    return preads >= at;
}

static void end_worst(struct worst *worst)
{
    spool_reader_free(worst->reader);
    rig_segment_free(&worst->segment);
    rig_database_free(&worst->database);
    rig_close(&worst->rig);
}

/* Each read in turn fails once. Returns false when there are fewer reads. */
static int read_fails_at(int at, int error)
{
    struct worst worst;
    int reached = read_worst(&worst, at, error);

    if (reached)
        ok(rig_has_just(&worst.database, &worst.segment, "10110") && worst.database.damages == 1 &&
               worst.database.torn == 1 && worst.database.again == 0 && rig_is_empty(&worst.rig) &&
               spool_reader_trouble(worst.reader) == NULL,
           "read %d fails once (%s): nothing is lost, doubled or taken for damage", at, strerrorname_np(error));
    end_worst(&worst);
    return reached;
}

/* Somebody cuts the file off before a read. Returns false when there are fewer reads. */
static int cut_before(int at, off_t length)
{
    struct worst worst;
    int reached;

    cut_to = length;
    reached = read_worst(&worst, at, 0);
    cut_to = -1;
    if (reached)
        ok(rig_has(&worst.database, worst.segment.bytes + worst.segment.offsets[0] + 16) &&
               worst.database.broken == 0 && worst.database.again == 0 && rig_is_empty(&worst.rig),
           "cut to %ld bytes before read %d: what is left is read, and the reader ends", (long)length, at);
    end_worst(&worst);
    return reached;
}

static void test_each_read(void)
{
    int at;

    for (at = 1; read_fails_at(at, EIO); at++)
        read_fails_at(at, ESTALE);
    ok(at > 8, "there were enough reads");
    for (at = 3; cut_before(at, 1000); at++)
        cut_before(at, 300400);
}

static int64_t clock_ahead_ms;

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + clock_ahead_ms;
}

/* A segment of which the disk cannot read the bytes FROM to TO for a while: nothing is lost, and the reader says so. */
static int passes_bad_blocks(const struct rig *rig, int worst, off_t from, off_t to)
{
    struct rig_database database = {0};
    struct spool_reader *reader = spool_reader_new(rig->folder, 0, rig_position, &database);
    struct rig_segment segment;
    int fine, told;

    if (worst)
        make_worst(&segment);
    else
        rig_segment_make(&segment, 15, 2000);
    rig_segment_save(rig, &segment, segment.length);
    bad_from = from;
    bad_to = to;
    rig_drain(reader, &database);
    told = spool_reader_trouble(reader) != NULL;
    clock_ahead_ms += 9 * 60 * 1000;
    rig_drain(reader, &database);
    fine = told && !rig_is_empty(rig) && database.damages == 0 && database.torn == 0;
    bad_from = bad_to = 0;
    rig_drain(reader, &database);
    fine &= spool_reader_trouble(reader) == NULL &&
            rig_has_just(&database, &segment, worst ? "10110" : "111111111111111") &&
            database.damages == (size_t)worst && database.torn == (size_t)worst && rig_is_empty(rig) &&
            rig_count(rig, "damaged", "") == 2 * worst;
    if (!fine)
        printf("# bad from %ld to %ld: told %d, damages %zu, torn %zu, events %zu\n", (long)from, (long)to, told,
               database.damages, database.torn, database.id_count);
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    return fine;
}

static void test_unreadable_for_a_while(void)
{
    struct rig rig;

    rig_open(&rig);
    ok(passes_bad_blocks(&rig, 0, 0, 4096), "EIO that passes: at the beginning");
    ok(passes_bad_blocks(&rig, 0, 8192, 12288), "in the middle");
    ok(passes_bad_blocks(&rig, 0, 28672, 1 << 20), "at the end");
    ok(passes_bad_blocks(&rig, 0, 0, 1 << 20), "and everywhere: nothing is lost, and the reader tells of it meanwhile");
    ok(passes_bad_blocks(&rig, 1, 290816, 294912), "the same in a record behind rot");
    rig_close(&rig);
}

/* The same when it does not pass: what can be read is given, and the segment is kept whole. */
static void test_unreadable_for_good(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    rig_segment_make(&segment, 15, 2000);
    rig_segment_save(&rig, &segment, segment.length);
    bad_from = 8192;
    bad_to = 12288;
    rig_drain(reader, &database);
    clock_ahead_ms += 11 * 60 * 1000;
    rig_drain(reader, &database);
    rig_drain(reader, &database);
    bad_from = bad_to = 0;
    ok(rig_has_just(&database, &segment, "111000011111111") && database.damages == 1 && rig_is_empty(&rig),
       "what the disk cannot read for ten minutes is damage, and its neighbours are read");
    ok(rig_count(&rig, "damaged", ".seg") == 1 && rig_count(&rig, "damaged", "") == 1,
       "the segment is in damaged as it is: the disk may give it back one day");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

int main(void)
{
    test_torn();
    test_stale();
    test_rot();
    rig_forget_bodies();
    test_long_rot();
    test_header_rot();
    test_damage_once();
    test_copy_fails();
    test_no_folder();
    test_depth();
    test_each_read();
    rig_forget_bodies();
    test_unreadable_for_a_while();
    rig_forget_bodies();
    test_unreadable_for_good();
    rig_forget_bodies();
    return done();
}
