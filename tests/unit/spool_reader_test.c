/*
 * SPDX-License-Identifier: ISC
 *
 * The reading side of the spool: batches, positions, and when a segment is unlinked. Linked with a fake of unlinkat
 * that can fail.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/spool_depth.h"
#include "spool_rig.h"
#include "tap.h"

#define STUCK 200 /* segments */

static struct err err;
static int failing_unlinks;

int __real_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags);

int __wrap_unlinkat(int folder, const char *name, int flags)
{
    if (failing_unlinks > 0) {
        failing_unlinks--;
        errno = EIO;
        return -1;
    }
    return __real_unlinkat(folder, name, flags);
}

/* ---- whole segments ---- */

static void test_whole(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    ok(rig_drain_once(&rig, &database) == 0, "an empty spool has nothing");
    rig_segment_make(&segment, 3, 100);
    rig_segment_save(&rig, &segment, segment.length);
    ok(rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "111"),
       "a dead writer's events are read");
    ok(rig_is_empty(&rig) && database.damages == 0 && database.forgotten == 1,
       "its segment is unlinked, and is to be forgotten");
    ok(database.positions[0].offset == segment.length, "the position is its end");
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_segment_make(&segment, 2, 100);
    rig_segment_seal(&segment);
    rig_segment_save(&rig, &segment, segment.length);
    ok(rig_drain_once(&rig, &database) == 1 && rig_has_just(&database, &segment, "11"),
       "a sealed one's, too, without the seal");
    ok(rig_is_empty(&rig) && database.positions[0].offset == segment.length, "the position is behind the seal");
    rig_segment_free(&segment);
    rig_segment_make(&segment, 0, 0);
    rig_segment_save(&rig, &segment, segment.length);
    ok(rig_drain_once(&rig, &database) == 1 && rig_is_empty(&rig), "one without events is unlinked");
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* Oldest first, whatever the order of the folder; a batch spans segments, and counts. */
static void test_batches(void)
{
    struct rig_database database = {0};
    struct rig_segment segments[5];
    const struct spool_batch *batch;
    struct spool_reader *reader;
    int ordered = 1;
    struct rig rig;

    rig_open(&rig);
    for (int i = 0; i < 5; i++)
        rig_segment_make(&segments[i], 4, 6000);
    for (int i = 5; i-- > 0;)
        rig_segment_save(&rig, &segments[i], segments[i].length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 6, 1 << 20);
    ok(batch && batch->count == 6 && batch->position_count == 2, "a batch takes what it may, from two segments");
    ok(rig_settle(reader, &database, batch) == 1 && rig_count(&rig, ".", ".seg") == 4, "the first one is done with");
    ok(database.asked == 2, "the database was asked for the two that were looked at");
    batch = rig_next(reader, 100, 40000);
    ok(batch && batch->count >= 5 && batch->count <= 6, "a batch holds about as many bytes as it may");
    rig_settle(reader, &database, batch);
    ok(rig_drain(reader, &database) > 0 && database.id_count == 20 && rig_is_empty(&rig), "all are read");
    for (size_t i = 0; i < 20; i++)
        ordered &=
            memcmp(database.ids[i], segments[i / 4].bytes + segments[i / 4].offsets[i % 4] + 16, UUID_BYTES) == 0;
    ok(ordered && database.again == 0, "the oldest first, and each once");
    ok(database.asked == 5, "the database was asked once for each segment");
    for (int i = 0; i < 5; i++)
        rig_segment_free(&segments[i]);
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_many_segments(void)
{
    struct rig_database database = {0};
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig rig;

    rig_open(&rig);
    for (int i = 0; i < 300; i++) {
        struct rig_segment segment;

        rig_segment_make(&segment, 1, 50);
        rig_segment_save(&rig, &segment, segment.length);
        rig_segment_free(&segment);
    }
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 1000, 1 << 20);
    ok(batch && batch->position_count < 200, "of many small segments, a batch keeps only so many open");
    ok(rig_drain(reader, &database) > 0 && database.id_count == 300 && rig_is_empty(&rig), "all are read in the end");
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_large(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 1, 100);
    for (int i = 0; i < 2; i++) {
        struct segment_record record = rig_event(i == 0 ? SEGMENT_BODY_BYTES : 100);

        rig_segment_put(&segment, &record);
    }
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 65536);
    ok(batch && batch->count == 1, "a body that does not fit ends the batch");
    rig_settle(reader, &database, batch);
    batch = rig_next(reader, 100, 65536);
    ok(batch && batch->count == 1 && batch->records[0].body_length == SEGMENT_BODY_BYTES,
       "and comes alone in the next");
    rig_settle(reader, &database, batch);
    ok(rig_drain(reader, &database) > 0 && rig_has_just(&database, &segment, "111") && rig_is_empty(&rig),
       "all are intact");
    rig_segment_free(&segment);
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_same_again(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    const struct spool_batch *batch;
    struct spool_reader *reader;
    uint8_t first[UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 4, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 2, 1 << 20);
    memcpy(first, batch->records[0].id, UUID_BYTES);
    batch = rig_next(reader, 4, 1 << 20);
    ok(batch && batch->count == 2 && memcmp(first, batch->records[0].id, UUID_BYTES) == 0 &&
           rig_is_intact(&batch->records[1]),
       "without done, the same batch comes again");
    ok(rig_settle(reader, &database, batch) == 0, "done, but not at the end");
    batch = rig_next(reader, 4, 1 << 20);
    ok(batch && batch->count == 2 && memcmp(first, batch->records[0].id, UUID_BYTES) != 0, "the next is another");
    ok(rig_settle(reader, &database, batch) == 1 && rig_has_just(&database, &segment, "1111") && database.again == 0,
       "each came once");
    ok(rig_settle(reader, &database, rig_next(reader, 4, 1 << 20)) == 0, "an empty batch may be done, too");
    rig_segment_free(&segment);
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

/* ---- positions ---- */

static void test_dies_before_unlink(void)
{
    struct rig_database database = {0};
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    rig_record(&database, rig_next(reader, 100, 1 << 20));
    spool_reader_free(reader);
    ok(rig_count(&rig, ".", ".seg") == 1, "a reader died between the commit and the unlink");
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && batch->count == 0 && batch->position_count == 1, "the next one delivers nothing again");
    ok(rig_settle(reader, &database, batch) == 1 && rig_is_empty(&rig), "and unlinks the segment");
    ok(database.again == 0 && rig_has_just(&database, &segment, "111"), "each was recorded once");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* Reads a segment of three whose position is given. Returns how many of its events came. */
static size_t read_from(const struct rig *rig, const struct rig_segment *segment, uint64_t position)
{
    struct rig_database database = {.position_count = 1};
    size_t came;

    memcpy(database.positions[0].segment, segment->id, UUID_BYTES);
    database.positions[0].offset = position;
    rig_segment_save(rig, segment, segment->length);
    came = rig_drain_once(rig, &database) == 1 && rig_is_empty(rig) && !database.damages && !database.broken
               ? database.id_count
               : 99;
    rig_database_free(&database);
    return came;
}

static void test_positions(void)
{
    struct rig_segment segment;
    size_t zeros = 5000;
    struct rig rig;
    int fine = 1;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    for (size_t i = 0; i < 3; i++)
        fine &= read_from(&rig, &segment, segment.offsets[i]) == 3 - i;
    ok(fine, "reading goes on at the position");
    fine = read_from(&rig, &segment, 0) == 3 && read_from(&rig, &segment, 17) == 3;
    ok(fine, "at the first record when it is before that");
    for (uint64_t at = segment.offsets[0] + 1; at < segment.length; at++)
        if (at != segment.offsets[1] && at != segment.offsets[2])
            fine &= read_from(&rig, &segment, at) == 3;
    ok(fine, "and when it points into a record");
    ok(read_from(&rig, &segment, segment.length + 1) == 3 && read_from(&rig, &segment, UINT64_MAX) == 3,
       "and when it points beyond the end");
    segment.bytes = realloc(segment.bytes, segment.length + zeros);
    memset(segment.bytes + segment.length, 0, zeros);
    segment.length += zeros;
    ok(read_from(&rig, &segment, segment.length - zeros) == 0, "at the beginning of the zeros nothing comes again");
    rig_segment_free(&segment);
    rig_close(&rig);
}

static void test_no_database(void)
{
    struct rig_database database = {.answer = RESULT_RETRY};
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    ok(spool_reader_next(reader, 9, 9999, &batch, &err) == RESULT_RETRY &&
           strcmp(err.text, "the database is away") == 0,
       "without the database's position there is no batch");
    database.answer = RESULT_FAIL;
    ok(spool_reader_next(reader, 9, 9999, &batch, &err) == RESULT_FAIL, "the result is the callback's");
    database.answer = RESULT_OK;
    ok(rig_drain(reader, &database) == 1 && rig_has_just(&database, &segment, "111"), "with it there is");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* ---- what cannot be opened or read ---- */

static uint64_t nothing_recorded(const void *context, const uint8_t segment[UUID_BYTES])
{
    (void)context;
    (void)segment;
    return 0;
}

static void set_descriptor_limit(rlim_t limit)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        exit(99);
    files.rlim_cur = limit;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        exit(99);
}

static const char *trouble_of(const struct spool_reader *reader)
{
    return spool_reader_trouble(reader) != NULL ? spool_reader_trouble(reader)->text : "";
}

static void test_no_descriptor(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct spool_depth depth;
    struct rlimit before;
    struct rig rig;
    int next;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    next = dup(rig.folder);
    close(next);
    if (getrlimit(RLIMIT_NOFILE, &before) != 0)
        exit(99);
    set_descriptor_limit((rlim_t)next);
    rig_drain(reader, &database);
    is_text(trouble_of(reader), "cannot list the spool's folder: Too many open files",
            "without a descriptor the folder cannot be listed");
    ok(spool_depth_count(rig.folder, nothing_recorded, NULL, &depth, &err) == RESULT_FAIL &&
           strcmp(err.text, "cannot list the spool: Too many open files") == 0,
       "nor counted: %s", err.text);
    set_descriptor_limit(before.rlim_cur);
    ok(rig_drain(reader, &database) == 1 && spool_reader_trouble(reader) == NULL &&
           rig_has_just(&database, &segment, "111"),
       "with one all is read");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* A FIFO with the name of a segment can be opened. */
static void test_no_file(void)
{
    struct rig_database database = {0};
    char name[SEGMENT_NAME_BYTES], path[256];
    struct spool_reader *reader;
    struct spool_depth depth;
    uint8_t id[UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    uuid_new(id);
    snprintf(path, sizeof path, "%s/%s", rig.path, segment_name(id, ".seg", name));
    ok(mkfifo(path, 0600) == 0, "something else has the name of a segment");
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    rig_drain(reader, &database);
    snprintf(path, sizeof path, "cannot open segment %s: Invalid argument", name);
    is_text(trouble_of(reader), path, "it is named");
    ok(spool_depth_count(rig.folder, nothing_recorded, NULL, &depth, &err) == RESULT_OK && depth.segments == 0,
       "and not counted");
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_id(void)
{
    char id[UUID_TEXT] = "", again[UUID_TEXT] = "";
    struct rig rig;

    rig_open(&rig);
    ok(mkdirat(rig.folder, "id.new", 0700) == 0 && spool_get_id(rig.folder, id, &err) == RESULT_RETRY &&
           strcmp(err.text, "cannot make the spool's file id: Is a directory") == 0,
       "an id that cannot be made: %s", err.text);
    unlinkat(rig.folder, "id.new", AT_REMOVEDIR);
    ok(spool_get_id(rig.folder, id, &err) == RESULT_OK && spool_get_id(rig.folder, again, &err) == RESULT_OK,
       "one that can be");
    is_text(again, id, "is kept");
    rig_close(&rig);
}

/* ---- unlinking ---- */

static void test_unlink_fails(void)
{
    struct rig_database database = {0};
    const uint8_t(*forget)[UUID_BYTES];
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig_segment segment;
    size_t count;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 1 << 20);
    rig_record(&database, batch);
    failing_unlinks = 1;
    spool_reader_done(reader, &forget, &count);
    ok(count == 0 && spool_reader_trouble(reader), "an unlink fails: %s", spool_reader_trouble(reader)->text);
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && batch->count == 0 && batch->position_count == 1, "the segment comes again, without events");
    ok(rig_settle(reader, &database, batch) == 1 && rig_is_empty(&rig) && !spool_reader_trouble(reader),
       "and is unlinked");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* More than a batch opens: those that stay do not keep the reader from those behind them. */
static void test_no_unlink_works(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    for (int i = 0; i < STUCK; i++) {
        rig_segment_make(&segment, 1, 100);
        rig_segment_save(&rig, &segment, segment.length);
        rig_segment_free(&segment);
    }
    failing_unlinks = 4 * STUCK;
    for (int i = 0; i < 3; i++)
        rig_settle(reader, &database, rig_next(reader, 2 * STUCK, 1 << 20));
    ok(database.id_count == STUCK && rig_count(&rig, ".", ".seg") == STUCK,
       "when no segment can be unlinked, all are read: %zu of %d", database.id_count, STUCK);
    failing_unlinks = 0;
    ok(rig_drain(reader, &database) > 0 && rig_is_empty(&rig) && database.again == 0, "and unlinked when they can be");
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

static const struct rig *grown_rig;

/* In another process: to open and close the file here would let go of the reader's lock. */
static int save_segment(void *context)
{
    const struct rig_segment *segment = context;

    rig_segment_save(grown_rig, segment, segment->length);
    return 0;
}

static void test_grows(void)
{
    struct rig_database database = {0};
    const struct spool_batch *batch;
    struct spool_reader *reader;
    struct rig_segment segment;
    struct segment_record more;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 2, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 1 << 20);
    more = rig_event(100);
    rig_segment_put(&segment, &more);
    grown_rig = &rig;
    rig_run(save_segment, &segment);
    ok(rig_settle(reader, &database, batch) == 0 && !rig_is_empty(&rig),
       "a segment that grew against all promises stays");
    ok(rig_drain(reader, &database) == 1 && rig_has_just(&database, &segment, "111") && rig_is_empty(&rig),
       "and is read on");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_kept(void)
{
    struct rig_database database = {0};
    struct rig_segment segment;
    struct spool_reader *reader;
    char kept[128];
    struct stat st;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 3, 100);
    rig_segment_seal(&segment);
    rig_segment_save(&rig, &segment, segment.length);
    rig_set_age(&rig, segment_name(segment.id, ".seg", kept), 5000);
    reader = spool_reader_new(rig.folder, 1000, rig_position, &database);
    ok(rig_drain(reader, &database) == 1 && rig_has_just(&database, &segment, "111") && rig_is_empty(&rig) &&
           database.forgotten == 1,
       "a recorded segment leaves the spool");
    ok(rig_name(&rig, "kept", ".seg", 0, kept) && fstatat(rig.folder, kept, &st, 0) == 0 &&
           st.st_size == (off_t)segment.length,
       "it is kept");
    spool_reader_free(reader);
    reader = spool_reader_new(rig.folder, 1000, rig_position, &database);
    ok(rig_drain(reader, &database) == 0 && rig_count(&rig, "kept", ".seg") == 1, "however old it was before");
    spool_reader_free(reader);
    reader = spool_reader_new(rig.folder, 1000, rig_position, &database);
    rig_set_age(&rig, kept, 990);
    ok(rig_drain(reader, &database) == 0 && rig_count(&rig, "kept", ".seg") == 1,
       "for its time, from its recording on");
    spool_reader_free(reader);
    reader = spool_reader_new(rig.folder, 1000, rig_position, &database);
    rig_set_age(&rig, kept, 1001);
    ok(rig_drain(reader, &database) == 0 && rig_count(&rig, "kept", ".seg") == 0, "and then removed");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

int main(void)
{
    test_whole();
    test_batches();
    test_many_segments();
    test_large();
    test_same_again();
    test_dies_before_unlink();
    test_positions();
    test_no_database();
    test_no_descriptor();
    test_no_file();
    test_id();
    test_unlink_fails();
    test_no_unlink_works();
    test_grows();
    test_kept();
    rig_forget_bodies();
    return done();
}
