/*
 * SPDX-License-Identifier: ISC
 *
 * The reading side of the spool. What must stay true:
 *
 * - A segment is dead from the moment the reader got its lock, and the reader holds that lock until it is gone. Only
 *   what is read after that moment tells where the segment ends, and only an ended one is unlinked.
 * - A segment is open once: closing a second descriptor would let go of the lock.
 * - What is no record at a living writer's end is not there yet, and is read again the next time. In a dead segment it
 *   is damage when a record follows anywhere behind it, else a torn end.
 * - `read` never passes a record, a damage or a seal that is not in the batch.
 */
#include <config.h>

#include "base/lock.h"
#include "spool/spool.h"
#include "spool/spool_aside.h"
#include "spool/spool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_CHUNK (16u << 10) /* mostly a living segment has little that is new */
#define CHUNK (256u << 10)
#define BATCH_SEGMENTS 128 /* at most so many are opened for one batch */
#define EXPIRE_SECONDS 10

struct spool_reader {
    int folder;
    unsigned keep_sealed;
    spool_position_fn *position;
    void *context;
    struct spool_file *segments; /* oldest first */
    size_t segment_count, segment_room;
    uint64_t turn;
    time_t expired;
    uint8_t *bytes; /* the records of the batch, and behind them what was read ahead */
    size_t used, room;
    size_t max_records, record_room, place_room, damage_room;
    int pending; /* the batch waits for spool_reader_done */
    int full;
    int troubled;
    struct err trouble; /* the first that the last batch met */
    size_t opened;      /* segments, for this batch */
    struct spool_batch batch;
    uint8_t (*forget)[UUID_BYTES];
    size_t forget_count, forget_room;
};

/* Makes room for one more element, which is zeroed. */
static void *grow(void *array, size_t count, size_t *room, size_t element)
{
    if (count == *room) {
        *room = *room ? 2 * *room : 16;
        array = realloc(array, *room * element);
        if (!array)
            abort();
    }
    memset((char *)array + count * element, 0, element);
    return array;
}

struct spool_reader *spool_reader_new(int folder, unsigned keep_sealed_seconds, spool_position_fn *position,
                                      void *context)
{
    struct spool_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        abort();
    reader->folder = folder;
    reader->keep_sealed = keep_sealed_seconds;
    reader->position = position;
    reader->context = context;
    return reader;
}

/* Notes what is wrong with one segment, or with the folder (SEGMENT NULL); the others are read all the same. */
static void trouble(struct spool_reader *reader, const struct spool_file *segment, const char *what)
{
    char id[UUID_TEXT];

    if (reader->troubled)
        return;
    reader->troubled = 1;
    if (segment)
        err_set_errno(&reader->trouble, "cannot %s segment %s.seg", what, uuid_text(segment->id, id));
    else
        err_set_errno(&reader->trouble, "cannot %s the spool's folder", what);
}

/* ---- the list ---- */

static int by_age(const void *left, const void *right)
{
    const struct spool_file *a = left, *b = right;

    return memcmp(a->id, b->id, UUID_BYTES);
}

static void add_segment(struct spool_reader *reader, const uint8_t id[UUID_BYTES], size_t known)
{
    struct spool_file segment = {.fd = -1};

    memcpy(segment.id, id, UUID_BYTES);
    if (known > 0 && bsearch(&segment, reader->segments, known, sizeof segment, by_age))
        return;
    reader->segments = grow(reader->segments, reader->segment_count, &reader->segment_room, sizeof *reader->segments);
    reader->segments[reader->segment_count++] = segment;
}

/* Looks for segments that are new in the folder. */
static void list(struct spool_reader *reader)
{
    int fd = openat(reader->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t known = reader->segment_count;
    uint8_t id[UUID_BYTES];
    struct dirent *entry;

    if (!dir) {
        trouble(reader, NULL, "list");
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        if (segment_parse_name(entry->d_name, ".seg", id) == 0)
            add_segment(reader, id, known);
        else
            spool_aside_unborn(reader->folder, entry->d_name);
    }
    closedir(dir);
    if (reader->segment_count > known)
        qsort(reader->segments, reader->segment_count, sizeof *reader->segments, by_age);
}

static void drop_gone(struct spool_reader *reader)
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

/* RESULT_RETRY and RESULT_FAIL are the position callback's; *OPENED tells whether there is something to read. */
static enum result open_segment(struct spool_reader *reader, struct spool_file *segment, int *opened, struct err *err)
{
    uint64_t position = 0;
    enum result result = reader->position(reader->context, segment->id, &position, err);

    if (result != RESULT_OK)
        return result;
    *opened = spool_file_open(segment, reader->folder, position) == 0;
    if (*opened)
        reader->opened++;
    else if (errno == ENOENT)
        segment->gone = 1; /* somebody took it away by hand */
    else
        trouble(reader, segment, "open");
    return RESULT_OK;
}

/* ---- reading ---- */

static void add_damage(struct spool_reader *reader, const struct spool_file *segment, uint64_t length)
{
    struct spool_batch *batch = &reader->batch;
    struct spool_damage *damage;

    batch->damages = grow(batch->damages, batch->damage_count, &reader->damage_room, sizeof *batch->damages);
    damage = &batch->damages[batch->damage_count++];
    memcpy(damage->segment, segment->id, UUID_BYTES);
    damage->offset = segment->read;
    damage->length = length;
}

/* What is no record in a dead segment: goes to the next record, or to the end. */
static void step_over(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t next = spool_file_next_record(segment, segment->read);

    if (next < segment->size) {
        if (!segment->keep_whole &&
            spool_aside_copy(reader->folder, segment->fd, segment->id, segment->read, next - segment->read) != 0)
            segment->keep_whole = 1; /* a rename needs no space */
        add_damage(reader, segment, next - segment->read);
    } else if (segment->read == 0) {
        add_damage(reader, segment, segment->size);
    } else if (!spool_file_is_unwritten(segment, segment->read)) {
        reader->batch.torn++;
    }
    segment->read = next;
}

static int add_record(struct spool_reader *reader, const struct segment_record *record)
{
    struct spool_batch *batch = &reader->batch;

    batch->records = grow(batch->records, batch->count, &reader->record_room, sizeof *batch->records);
    batch->records[batch->count++] = *record;
    return batch->count >= reader->max_records;
}

/* Makes room for NEED bytes. Records point into the buffer: it moves only while there are none. */
static int make_room(struct spool_reader *reader, size_t need)
{
    if (reader->batch.count == 0) {
        uint8_t *bytes;

        if (reader->room - reader->used >= need)
            return 0;
        bytes = realloc(reader->bytes, reader->used + need);
        if (!bytes)
            abort();
        reader->bytes = bytes;
        reader->room = reader->used + need;
    }
    return reader->room - reader->used >= need ? 0 : -1;
}

/*
 * Reads on so that at least NEED bytes of the segment, which has them, are in the buffer, where *HAVE are. Returns 1, 0
 * when the batch is full, -1 with errno.
 */
static int fill(struct spool_reader *reader, struct spool_file *segment, size_t need, size_t chunk, size_t *have)
{
    uint64_t left = segment->size - segment->read;
    size_t want = need > chunk ? need : chunk;

    if (make_room(reader, need) != 0)
        return 0;
    if (want > left)
        want = (size_t)left;
    if (want > reader->room - reader->used)
        want = reader->room - reader->used;
    while (*have < need) {
        ssize_t got =
            spool_file_read(segment->fd, reader->bytes + reader->used + *have, want - *have, segment->read + *have);

        if (got < 0)
            return -1;
        if (got == 0) { /* its writer took back the zeros at the end */
            segment->size = segment->read + *have;
            return 1;
        }
        *have += (size_t)got;
    }
    return 1;
}

/* What begins at `read` is no record, or the file ends there. Returns whether there is more to read. */
static int at_no_record(struct spool_reader *reader, struct spool_file *segment)
{
    if (segment->dead && (segment->read < segment->size || segment->read == 0))
        step_over(reader, segment);
    return segment->dead && segment->read < segment->size;
}

/* Takes a record that was found. Returns whether there is more to read. */
static int take(struct spool_reader *reader, struct spool_file *segment, const struct segment_record *record,
                size_t size)
{
    segment->read += size;
    if (record->flag == SEGMENT_SEAL) {
        segment->sealed = 1;
        return 0;
    }
    reader->used += size;
    reader->full = add_record(reader, record);
    return !reader->full;
}

/* Reads records until the batch is full, or the segment has no more for now. Returns 0, or -1 with errno. */
static int read_records(struct spool_reader *reader, struct spool_file *segment)
{
    size_t have = 0, chunk = FIRST_CHUNK, size;
    struct segment_record record;
    int more = !segment->sealed && !reader->full, filled;

    while (more) {
        enum segment_found found = segment_get_record(reader->bytes + reader->used, have, segment->id, &record, &size);

        if (found == SEGMENT_GOOD) {
            have -= size;
            more = take(reader, segment, &record, size);
        } else if (found == SEGMENT_SHORT && size <= segment->size - segment->read) {
            filled = fill(reader, segment, size, chunk, &have);
            if (filled < 0)
                return -1;
            more = filled;
            reader->full = !filled;
            chunk = CHUNK;
        } else {
            more = at_no_record(reader, segment);
            have = 0;
        }
    }
    return 0;
}

static void add_place(struct spool_reader *reader, const struct spool_file *segment)
{
    struct spool_batch *batch = &reader->batch;
    struct spool_place *place;

    batch->places = grow(batch->places, batch->place_count, &reader->place_room, sizeof *batch->places);
    place = &batch->places[batch->place_count++];
    memcpy(place->segment, segment->id, UUID_BYTES);
    place->position = segment->read;
    if (reader->opened >= BATCH_SEGMENTS)
        reader->full = 1;
}

/* Reads what one segment has. The order matters: first the lock, then the size, then the bytes. */
static void read_segment(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t before = segment->read;

    if (!segment->dead && lock_take(segment->fd))
        segment->dead = 1;
    else if (!segment->dead && errno != EAGAIN && errno != EACCES)
        trouble(reader, segment, "lock");
    if (!segment->ended && (spool_file_look(segment) != 0 || read_records(reader, segment) != 0))
        trouble(reader, segment, "read");
    else if (segment->dead && (segment->sealed || segment->read >= segment->size))
        segment->ended = 1;
    if (segment->ended || segment->read != before)
        add_place(reader, segment);
}

/* Visits every segment that this batch has not visited yet, until it is full. */
static enum result gather(struct spool_reader *reader, struct err *err)
{
    enum result result = RESULT_OK;

    for (size_t i = 0; i < reader->segment_count && !reader->full && result == RESULT_OK; i++) {
        struct spool_file *segment = &reader->segments[i];
        int opened = segment->fd >= 0;

        if (segment->turn == reader->turn)
            continue;
        segment->turn = reader->turn;
        if (!opened)
            result = open_segment(reader, segment, &opened, err);
        if (opened)
            read_segment(reader, segment);
    }
    drop_gone(reader);
    return result;
}

static void begin_batch(struct spool_reader *reader, size_t max_records, size_t max_bytes)
{
    struct spool_batch *batch = &reader->batch;
    size_t room = max_bytes > FIRST_CHUNK ? max_bytes : FIRST_CHUNK;

    if (reader->room != room) { /* also after a record that was larger */
        free(reader->bytes);
        reader->bytes = malloc(room);
        if (!reader->bytes)
            abort();
        reader->room = room;
    }
    batch->count = batch->place_count = batch->damage_count = batch->torn = 0;
    reader->max_records = max_records;
    reader->used = reader->opened = 0;
    reader->full = reader->troubled = 0;
    reader->turn++;
}

/* Removes what `kept` holds too long, now and then. */
static void expire(struct spool_reader *reader)
{
    unsigned pause = reader->keep_sealed < EXPIRE_SECONDS ? reader->keep_sealed : EXPIRE_SECONDS;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (reader->expired && now.tv_sec - reader->expired < (time_t)(pause ? pause : EXPIRE_SECONDS))
        return;
    reader->expired = now.tv_sec + !now.tv_sec;
    spool_aside_expire(reader->folder, reader->keep_sealed);
}

enum result spool_reader_next(struct spool_reader *reader, size_t max_records, size_t max_bytes,
                              const struct spool_batch **batch, struct err *err)
{
    enum result result;

    *batch = &reader->batch;
    if (reader->pending) {
        reader->batch.damage_count = reader->batch.torn = 0;
        return RESULT_OK;
    }
    expire(reader);
    begin_batch(reader, max_records, max_bytes);
    result = gather(reader, err);
    if (result == RESULT_OK && !reader->full) {
        list(reader);
        result = gather(reader, err);
    }
    reader->pending = reader->batch.place_count > 0;
    return reader->pending ? RESULT_OK : result;
}

/* ---- after recording ---- */

/* Removes an ended segment, whose lock we hold. Returns 0, or -1 with errno. */
static int remove_segment(struct spool_reader *reader, struct spool_file *segment)
{
    uint64_t size = segment->size;
    char name[SEGMENT_NAME_BYTES];
    int failed;

    if (spool_file_look(segment) != 0)
        return -1;
    if (segment->size > size) { /* against all promises: read on */
        segment->ended = segment->sealed = 0;
        return 0;
    }
    segment_name(segment->id, ".seg", name);
    if (segment->keep_whole)
        failed = spool_aside_move(reader->folder, segment->fd, segment->id, SPOOL_DAMAGED);
    else if (reader->keep_sealed > 0)
        failed = spool_aside_move(reader->folder, segment->fd, segment->id, SPOOL_KEPT);
    else
        failed = unlinkat(reader->folder, name, 0);
    segment->gone = !failed || errno == ENOENT;
    return segment->gone ? 0 : -1;
}

void spool_reader_done(struct spool_reader *reader, const uint8_t (**forget)[UUID_BYTES], size_t *forget_count)
{
    reader->forget_count = 0;
    for (size_t i = 0; reader->pending && i < reader->segment_count; i++) {
        struct spool_file *segment = &reader->segments[i];

        if (segment->ended && remove_segment(reader, segment) != 0)
            trouble(reader, segment, "remove");
        if (!segment->gone)
            continue;
        reader->forget = grow(reader->forget, reader->forget_count, &reader->forget_room, sizeof *reader->forget);
        memcpy(reader->forget[reader->forget_count++], segment->id, UUID_BYTES);
    }
    drop_gone(reader);
    reader->pending = 0;
    *forget = (const uint8_t(*)[UUID_BYTES])reader->forget;
    *forget_count = reader->forget_count;
}

const struct err *spool_reader_trouble(const struct spool_reader *reader)
{
    return reader->troubled ? &reader->trouble : NULL;
}

void spool_reader_free(struct spool_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->segment_count; i++)
        if (reader->segments[i].fd >= 0)
            close(reader->segments[i].fd);
    free(reader->segments);
    free(reader->bytes);
    free(reader->batch.records);
    free(reader->batch.places);
    free(reader->batch.damages);
    free(reader->forget);
    free(reader);
}
