/*
 * SPDX-License-Identifier: ISC
 *
 * The reading side of the spool. What must stay true:
 *
 * - A segment is dead from the moment the reader got its lock, and the reader holds that lock until the segment is
 *   gone. Only what is read after that moment tells where the segment ends, and only an ended segment is removed.
 * - A segment is opened once: closing a second descriptor would release the lock.
 * - Bytes at the end of a living writer's segment that are no record are not written completely yet, and are read again
 *   with the next batch. In a dead segment they are damage when a record follows anywhere behind them, else a torn end:
 *   mostly of a batch that was never acknowledged, but nobody can tell it from rot in the last record. Both are kept,
 *   unless they are zeros, which the writer wrote ahead.
 * - A segment that the disk cannot read (EIO) stays as it is, and is tried again for minutes: a disk behind a network
 *   comes back. Then it is read around the bad blocks, and moved to `damaged` whole.
 * - A segment's `offset` never passes a record, a damage or a seal that is not in the batch.
 */
#include <config.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/memory.h"
#include "spool/spool.h"
#include "spool/spool_aside.h"
#include "spool/spool_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_READ_BYTES (16u << 10) /* a living segment mostly has little that is new; */
#define READ_BYTES (256u << 10)      /* after that, more at once */
#define BATCH_SEGMENTS 128           /* at most this many are opened for one batch */
#define EXPIRE_SECONDS 10            /* between two clean-ups of `kept` */
#define GIVE_UP_MS (10 * 60 * 1000)  /* how long a segment that the disk cannot read is tried again */

struct spool_reader {
    int folder;
    unsigned keep_sealed; /* seconds */
    spool_position_fn *position;
    void *context;
    struct spool_file *segments; /* oldest first */
    size_t segment_count, segment_room;
    struct spool_batch batch;
    size_t max_records, record_room, position_room, damage_room;
    uint64_t batch_number;
    size_t batch_opened; /* segments that were opened for it */
    bool batch_full;
    bool batch_pending; /* spool_reader_done is still to be called */
    bool batch_troubled;
    struct err trouble;  /* the first that the batch met */
    uint8_t *buffer;     /* the records of the batch, and behind them what was read ahead */
    size_t buffer_used;  /* bytes of the batch's records */
    size_t buffer_bytes; /* allocated */
    uint8_t (*forget)[UUID_BYTES];
    size_t forget_count, forget_room;
    int64_t expire_ms; /* when `kept` is to be cleaned up next (monotonic) */
};

/* Makes room for one more element, which is zeroed. Returns the array. */
static void *grow_array(void *array, size_t count, size_t *room, size_t element)
{
    if (count == *room) {
        *room = *room > 0 ? 2 * *room : 16;
        array = memory_resize(array, *room, element);
    }
    memset((char *)array + count * element, 0, element);
    return array;
}

struct spool_reader *spool_reader_new(int folder, unsigned keep_sealed_seconds, spool_position_fn *position,
                                      void *context)
{
    struct spool_reader *reader = memory_new(1, sizeof *reader);

    reader->folder = folder;
    reader->keep_sealed = keep_sealed_seconds;
    reader->position = position;
    reader->context = context;
    return reader;
}

/* Notes the reason, from errno, why ACTION failed on a segment, or on the folder (SEGMENT NULL). */
static void note_trouble(struct spool_reader *reader, const struct spool_file *segment, const char *action)
{
    char id[UUID_TEXT];

    if (reader->batch_troubled)
        return;
    reader->batch_troubled = true;
    if (segment != NULL)
        err_set_errno(&reader->trouble, "cannot %s segment %s.seg", action, uuid_text(segment->id, id));
    else
        err_set_errno(&reader->trouble, "cannot %s the spool's folder", action);
}

/* ---- the list of segments ---- */

/* Ids begin with the time, so their order is that of creation. When a clock that was ahead is set right, new segments
 * are read before older ones: nothing else depends on the order. */
static int compare_segments(const void *left, const void *right)
{
    const struct spool_file *a = left, *b = right;

    return memcmp(a->id, b->id, UUID_BYTES);
}

/* Adds the segment unless it is among the first KNOWN, which are sorted. */
static void add_segment(struct spool_reader *reader, const uint8_t id[UUID_BYTES], size_t known)
{
    struct spool_file segment = {.fd = -1};

    memcpy(segment.id, id, UUID_BYTES);
    if (known > 0 && bsearch(&segment, reader->segments, known, sizeof segment, compare_segments) != NULL)
        return;
    reader->segments =
        grow_array(reader->segments, reader->segment_count, &reader->segment_room, sizeof *reader->segments);
    reader->segments[reader->segment_count++] = segment;
}

/* Adds the segments that are new in the folder. */
static void list_segments(struct spool_reader *reader)
{
    DIR *dir = spool_aside_list(reader->folder, ".");
    size_t known = reader->segment_count;
    const struct dirent *entry;
    uint8_t id[UUID_BYTES];

    if (dir == NULL) {
        note_trouble(reader, NULL, "list");
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (segment_parse_name(entry->d_name, ".seg", id))
            add_segment(reader, id, known);
        else
            spool_aside_remove_unborn(reader->folder, entry->d_name);
    }
    closedir(dir);
    if (reader->segment_count > known)
        qsort(reader->segments, reader->segment_count, sizeof *reader->segments, compare_segments);
}

static void drop_gone_segments(struct spool_reader *reader)
{
    size_t left = 0;

    for (size_t i = 0; i < reader->segment_count; i++) {
        if (reader->segments[i].gone && reader->segments[i].fd >= 0)
            close(reader->segments[i].fd);
        if (!reader->segments[i].gone)
            reader->segments[left++] = reader->segments[i];
    }
    reader->segment_count = left;
}

/* Opens the segment, unless it is open. Only the position callback's failures are returned; else FD tells. */
static enum result open_segment(struct spool_reader *reader, struct spool_file *segment, struct err *err)
{
    uint64_t offset = 0;
    enum result result;

    if (segment->fd >= 0)
        return RESULT_OK;
    result = reader->position(reader->context, segment->id, &offset, err);
    if (result != RESULT_OK)
        return result;
    if (spool_file_open(segment, reader->folder, offset))
        reader->batch_opened++;
    else if (errno == ENOENT)
        segment->gone = true; /* a person removed it */
    else
        note_trouble(reader, segment, "open");
    return RESULT_OK;
}

/* ---- reading ---- */

static void add_damage(struct spool_reader *reader, const struct spool_file *segment, uint64_t length, bool torn)
{
    struct spool_batch *batch = &reader->batch;
    struct spool_damage *damage;

    batch->damages = grow_array(batch->damages, batch->damage_count, &reader->damage_room, sizeof *batch->damages);
    damage = &batch->damages[batch->damage_count++];
    memcpy(damage->segment, segment->id, UUID_BYTES);
    damage->offset = segment->offset;
    damage->length = length;
    damage->torn = torn;
}

/* Keeps LENGTH bytes that are no record, from the segment's offset on, and notes them. */
static void keep_bad_bytes(struct spool_reader *reader, struct spool_file *segment, uint64_t length, bool torn)
{
    if (!segment->move_whole && !spool_aside_copy(reader->folder, segment, length, torn ? SPOOL_TORN : SPOOL_ROT))
        segment->move_whole = true; /* a rename needs no space */
    add_damage(reader, segment, length, torn);
}

/* Goes from bytes of a dead segment that are no record to the next record, or to the end. Returns false with errno when
 * the disk cannot read them. */
static bool skip_bad_bytes(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t next, zeros;

    if (!spool_file_next_record(segment, segment->offset, &next))
        return false;
    if (next < segment->size || segment->offset == 0) {
        keep_bad_bytes(reader, segment, next - segment->offset, false);
    } else {
        if (!spool_file_find_zeros(segment, segment->offset, &zeros))
            return false;
        if (zeros > segment->offset)
            keep_bad_bytes(reader, segment, zeros - segment->offset, !segment->given_up);
    }
    segment->offset = next;
    return true;
}

static void add_record(struct spool_reader *reader, const struct segment_record *record)
{
    struct spool_batch *batch = &reader->batch;

    batch->records = grow_array(batch->records, batch->count, &reader->record_room, sizeof *batch->records);
    batch->records[batch->count++] = *record;
    reader->batch_full = batch->count >= reader->max_records;
}

/* Whether NEED bytes fit behind the batch's records. The records point into the buffer, so it only grows without any.
 */
static bool buffer_has_room(struct spool_reader *reader, size_t need)
{
    if (reader->batch.count == 0 && reader->buffer_bytes - reader->buffer_used < need) {
        reader->buffer_bytes = reader->buffer_used + need;
        reader->buffer = memory_resize(reader->buffer, reader->buffer_bytes, 1);
    }
    return reader->buffer_bytes - reader->buffer_used >= need;
}

/* The bytes of a segment that are read into the buffer and not used yet. */
struct read_ahead {
    size_t have;
    size_t chunk; /* to be read at once */
};

/*
 * Extends the buffer from AHEAD->have to at least NEED bytes of the segment (which is known to be that long), unless
 * the batch is full. When the segment became shorter meanwhile, its size is corrected. Returns false with errno.
 */
static bool fill_buffer(struct spool_reader *reader, struct spool_file *segment, struct read_ahead *ahead, size_t need)
{
    uint64_t left = segment->size - segment->offset;
    size_t want = need > ahead->chunk ? need : ahead->chunk;

    if (!buffer_has_room(reader, need)) {
        reader->batch_full = true;
        return true;
    }
    if (want > left)
        want = (size_t)left;
    if (want > reader->buffer_bytes - reader->buffer_used)
        want = reader->buffer_bytes - reader->buffer_used;
    ahead->chunk = READ_BYTES;
    while (ahead->have < need) {
        ssize_t got = spool_file_read(segment, reader->buffer + reader->buffer_used + ahead->have, want - ahead->have,
                                      segment->offset + ahead->have);

        if (got < 0)
            return false;
        if (got == 0) { /* its writer took back the zeros at the end */
            segment->size = segment->offset + ahead->have;
            return true;
        }
        ahead->have += (size_t)got;
    }
    return true;
}

/* No record begins at the segment's offset, or the file ends there. *MORE is whether there is more to read. Returns
 * false with errno. */
static bool pass_no_record(struct spool_reader *reader, struct spool_file *segment, bool *more)
{
    *more = false;
    if (segment->dead && (segment->offset < segment->size || segment->offset == 0) && !skip_bad_bytes(reader, segment))
        return false;
    *more = segment->dead && segment->offset < segment->size;
    return true;
}

/* A record begins at the segment's offset. Returns whether there is more to read. */
static bool pass_record(struct spool_reader *reader, struct spool_file *segment, const struct segment_record *record,
                        size_t size)
{
    segment->offset += size;
    if (record->flag == SEGMENT_SEAL) {
        segment->sealed = true;
        return false;
    }
    reader->buffer_used += size;
    add_record(reader, record);
    return !reader->batch_full;
}

/* Reads records until the batch is full, or the segment has no more for now. Returns false with errno. */
static bool read_records(struct spool_reader *reader, struct spool_file *segment)
{
    struct read_ahead ahead = {.have = 0, .chunk = FIRST_READ_BYTES};
    bool more = !segment->sealed && !reader->batch_full;

    while (more) {
        struct segment_record record;
        size_t size;
        enum segment_found found =
            segment_get_record(reader->buffer + reader->buffer_used, ahead.have, segment->id, &record, &size);

        if (found == SEGMENT_GOOD) {
            ahead.have -= size;
            more = pass_record(reader, segment, &record, size);
        } else if (found == SEGMENT_SHORT && size <= segment->size - segment->offset) {
            if (!fill_buffer(reader, segment, &ahead, size))
                return false;
            more = !reader->batch_full;
        } else {
            if (!pass_no_record(reader, segment, &more))
                return false;
            ahead.have = 0;
        }
    }
    return true;
}

static void add_position(struct spool_reader *reader, const struct spool_file *segment)
{
    struct spool_batch *batch = &reader->batch;
    struct spool_position *position;

    batch->positions =
        grow_array(batch->positions, batch->position_count, &reader->position_room, sizeof *batch->positions);
    position = &batch->positions[batch->position_count++];
    memcpy(position->segment, segment->id, UUID_BYTES);
    position->offset = segment->offset;
    if (reader->batch_opened >= BATCH_SEGMENTS)
        reader->batch_full = true;
}

/* The disk could not read the segment: it is tried again, and given up after GIVE_UP_MS. */
static void note_unreadable(struct spool_reader *reader, struct spool_file *segment)
{
    bool disk = errno == EIO;
    int64_t now = clock_monotonic_ms();

    note_trouble(reader, segment, "read");
    if (!disk)
        return;
    if (segment->unreadable_since == 0)
        segment->unreadable_since = now;
    if (segment->dead && now - segment->unreadable_since >= GIVE_UP_MS)
        segment->given_up = segment->move_whole = true;
}

/* Reads what one segment has. The order matters: first the lock, then the size, then the bytes. */
static void read_segment(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t before;

    if (!segment->dead && lock_take(segment->fd))
        segment->dead = true;
    else if (!segment->dead && errno != EAGAIN && errno != EACCES)
        note_trouble(reader, segment, "lock");
    if (!segment->started && !spool_file_find_start(segment)) {
        note_unreadable(reader, segment);
        return;
    }
    before = segment->offset;
    if (!segment->ended && (!spool_file_update_size(segment) || !read_records(reader, segment))) {
        note_unreadable(reader, segment);
    } else {
        segment->unreadable_since = 0;
        segment->ended = segment->dead && (segment->sealed || segment->offset >= segment->size);
    }
    if (segment->ended || segment->offset != before)
        add_position(reader, segment);
}

/* Visits every segment that this batch has not visited yet, until it is full. */
static enum result read_segments(struct spool_reader *reader, struct err *err)
{
    enum result result = RESULT_OK;

    for (size_t i = 0; i < reader->segment_count && !reader->batch_full && result == RESULT_OK; i++) {
        struct spool_file *segment = &reader->segments[i];

        if (segment->batch == reader->batch_number)
            continue;
        segment->batch = reader->batch_number;
        result = open_segment(reader, segment, err);
        if (segment->fd >= 0)
            read_segment(reader, segment);
    }
    drop_gone_segments(reader);
    return result;
}

static void begin_batch(struct spool_reader *reader, size_t max_records, size_t max_bytes)
{
    struct spool_batch *batch = &reader->batch;
    size_t bytes = max_bytes > FIRST_READ_BYTES ? max_bytes : FIRST_READ_BYTES;

    if (reader->buffer_bytes != bytes) { /* also after a record that was larger */
        free(reader->buffer);
        reader->buffer = memory_resize(NULL, bytes, 1);
        reader->buffer_bytes = bytes;
    }
    batch->count = batch->position_count = batch->damage_count = 0;
    reader->max_records = max_records;
    reader->buffer_used = reader->batch_opened = 0;
    reader->batch_full = reader->batch_troubled = false;
    reader->batch_number++;
}

/* Cleans up `kept` every EXPIRE_SECONDS, or every KEEP_SEALED seconds when that is less and not 0. */
static void expire_kept(struct spool_reader *reader)
{
    unsigned keep = reader->keep_sealed, pause = keep > 0 && keep < EXPIRE_SECONDS ? keep : EXPIRE_SECONDS;
    int64_t now = clock_monotonic_ms();

    if (now < reader->expire_ms)
        return;
    reader->expire_ms = now + (int64_t)pause * 1000;
    spool_aside_expire(reader->folder, keep);
}

enum result spool_reader_next(struct spool_reader *reader, size_t max_records, size_t max_bytes,
                              const struct spool_batch **batch, struct err *err)
{
    enum result result;

    *batch = &reader->batch;
    if (reader->batch_pending) {
        reader->batch.damage_count = 0;
        return RESULT_OK;
    }
    expire_kept(reader);
    begin_batch(reader, max_records, max_bytes);
    result = read_segments(reader, err);
    if (result == RESULT_OK && !reader->batch_full) {
        list_segments(reader);
        result = read_segments(reader, err);
    }
    reader->batch_pending = reader->batch.position_count > 0;
    return reader->batch_pending ? RESULT_OK : result;
}

/* ---- after recording ---- */

/* Removes an ended segment, whose lock we hold. Returns false with errno. */
static bool remove_segment(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t size = segment->size;
    bool sized = spool_file_update_size(segment), removed;
    char name[SEGMENT_NAME_BYTES];

    if (!sized || segment->size > size) { /* somebody wrote to it without the lock: read on */
        segment->ended = segment->sealed = false;
        return sized;
    }
    if (segment->move_whole)
        removed = spool_aside_move(reader->folder, segment->fd, segment->id, SPOOL_DAMAGED);
    else if (reader->keep_sealed > 0)
        removed = spool_aside_move(reader->folder, segment->fd, segment->id, SPOOL_KEPT);
    else
        removed = unlinkat(reader->folder, segment_name(segment->id, ".seg", name), 0) == 0;
    segment->gone = removed || errno == ENOENT;
    return segment->gone;
}

void spool_reader_done(struct spool_reader *reader, const uint8_t (**forget)[UUID_BYTES], size_t *forget_count)
{
    reader->forget_count = 0;
    for (size_t i = 0; reader->batch_pending && i < reader->segment_count; i++) {
        struct spool_file *segment = &reader->segments[i];

        if (segment->ended && !remove_segment(reader, segment))
            note_trouble(reader, segment, "remove");
        if (!segment->gone)
            continue;
        reader->forget = grow_array(reader->forget, reader->forget_count, &reader->forget_room, sizeof *reader->forget);
        memcpy(reader->forget[reader->forget_count++], segment->id, UUID_BYTES);
    }
    drop_gone_segments(reader);
    reader->batch_pending = false;
    *forget = (const uint8_t(*)[UUID_BYTES])reader->forget;
    *forget_count = reader->forget_count;
}

const struct err *spool_reader_trouble(const struct spool_reader *reader)
{
    return reader->batch_troubled ? &reader->trouble : NULL;
}

void spool_reader_free(struct spool_reader *reader)
{
    for (size_t i = 0; i < reader->segment_count; i++)
        if (reader->segments[i].fd >= 0)
            close(reader->segments[i].fd);
    free(reader->segments);
    free(reader->buffer);
    free(reader->batch.records);
    free(reader->batch.positions);
    free(reader->batch.damages);
    free(reader->forget);
    free(reader);
}
