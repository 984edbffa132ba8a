/*
 * SPDX-License-Identifier: ISC
 *
 * See spool_rig.h.
 */
#include <config.h>

#include "spool_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

static void check(int fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(99);
}

/* ---- folders and files ---- */

void rig_open(struct rig *rig)
{
    const char *tmp = getenv("TMPDIR");
    struct err err;

    snprintf(rig->top, sizeof rig->top, "%.100s/chXXXXXX", tmp ? tmp : "/tmp");
    check(mkdtemp(rig->top) != NULL, "mkdtemp");
    snprintf(rig->path, sizeof rig->path, "%s/spool", rig->top);
    if (spool_open(rig->path, &rig->folder, &err) != RESULT_OK)
        check(0, err.text);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

void rig_close(struct rig *rig)
{
    close(rig->folder);
    nftw(rig->top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int rig_name(const struct rig *rig, const char *sub, const char *suffix, int index, char name[128])
{
    int fd = openat(rig->folder, sub, O_RDONLY | O_DIRECTORY), found = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    while (dir && !found && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name), end = strlen(suffix);

        found = entry->d_name[0] != '.' && length > end && strcmp(entry->d_name + length - end, suffix) == 0 &&
                index-- == 0;
        if (found)
            snprintf(name, 128, "%.40s/%.80s", sub, entry->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

int rig_count(const struct rig *rig, const char *sub, const char *suffix)
{
    char name[128];
    int count = 0;

    while (rig_name(rig, sub, suffix, count, name))
        count++;
    return count;
}

int rig_is_empty(const struct rig *rig)
{
    return rig_count(rig, ".", ".seg") == 0;
}

void rig_set_age(const struct rig *rig, const char *name, long seconds)
{
    const struct timespec then = {time(NULL) - seconds, 0};

    check(utimensat(rig->folder, name, (const struct timespec[]){then, then}, 0) == 0, "utimensat");
}

uint8_t *rig_read(const struct rig *rig, const char *name, size_t *length)
{
    int fd = openat(rig->folder, name, O_RDONLY);
    struct stat st;
    uint8_t *bytes;

    if (fd < 0)
        return NULL;
    check(fstat(fd, &st) == 0, "fstat");
    *length = (size_t)st.st_size;
    bytes = malloc(*length + 1);
    check(bytes && read(fd, bytes, *length) == st.st_size, "read");
    close(fd);
    return bytes;
}

void rig_write(const struct rig *rig, const char *name, const uint8_t *bytes, size_t length)
{
    int fd = openat(rig->folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    check(fd >= 0 && write(fd, bytes, length) == (ssize_t)length, name);
    close(fd);
}

/* ---- events and segments ---- */

static void **bodies;
static size_t body_count, body_room;

static char body_byte(const uint8_t id[UUID_BYTES], size_t i)
{
    return (char)(id[i % UUID_BYTES] + 131 * (i / UUID_BYTES) + i);
}

struct segment_record rig_event(size_t length)
{
    struct segment_record record = {.flag = SEGMENT_WHOLE, .body_length = length};
    char *body = malloc(length + 1);

    check(body != NULL, "malloc");
    uuid_new(record.id);
    for (size_t i = 0; i < length; i++)
        body[i] = body_byte(record.id, i);
    record.body = body;
    if (body_count == body_room) {
        body_room = body_room ? 2 * body_room : 64;
        bodies = memory_resize(bodies, body_room, sizeof *bodies);
    }
    bodies[body_count++] = body;
    return record;
}

void rig_forget_bodies(void)
{
    for (size_t i = 0; i < body_count; i++)
        free(bodies[i]);
    free(bodies);
    bodies = NULL;
    body_count = body_room = 0;
}

int rig_is_intact(const struct segment_record *record)
{
    for (size_t i = 0; i < record->body_length; i++)
        if (record->body[i] != body_byte(record->id, i))
            return 0;
    return 1;
}

void rig_segment_new(struct rig_segment *segment)
{
    memset(segment, 0, sizeof *segment);
    uuid_new(segment->id);
    segment->bytes = malloc(SEGMENT_HEADER_BYTES);
    check(segment->bytes != NULL, "malloc");
    segment_put_header(segment->bytes, segment->id);
    segment->length = SEGMENT_HEADER_BYTES;
}

void rig_segment_put(struct rig_segment *segment, const struct segment_record *record)
{
    segment->bytes = realloc(segment->bytes, segment->length + segment_record_bytes(record));
    check(segment->bytes != NULL, "realloc");
    if (segment->count < sizeof segment->offsets / sizeof *segment->offsets)
        segment->offsets[segment->count++] = segment->length;
    segment->length += segment_put_record(segment->bytes + segment->length, segment->id, record);
}

void rig_segment_seal(struct rig_segment *segment)
{
    const struct segment_record record = {.flag = SEGMENT_SEAL};

    rig_segment_put(segment, &record);
}

void rig_segment_free(struct rig_segment *segment)
{
    free(segment->bytes);
}

void rig_segment_save(const struct rig *rig, const struct rig_segment *segment, size_t length)
{
    char name[SEGMENT_NAME_BYTES];

    rig_write(rig, segment_name(segment->id, ".seg", name), segment->bytes, length);
}

void rig_segment_make(struct rig_segment *segment, int count, size_t length)
{
    rig_segment_new(segment);
    while (count-- > 0) {
        struct segment_record record = rig_event(length);

        rig_segment_put(segment, &record);
    }
}

/* ---- processes ---- */

pid_t rig_start(int (*work)(void *context), void *context)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    check(child >= 0, "fork");
    if (child == 0)
        _exit(work(context));
    return child;
}

int rig_wait(pid_t child)
{
    int status;

    check(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rig_run(int (*work)(void *context), void *context)
{
    return rig_wait(rig_start(work, context));
}

void rig_tell(int fd)
{
    check(write(fd, "x", 1) == 1, "write to a pipe");
}

void rig_hear(int fd)
{
    char byte;

    check(read(fd, &byte, 1) == 1, "read from a pipe");
}

/* ---- the stand-in for the database ---- */

void rig_database_free(struct rig_database *database)
{
    free(database->ids);
    memset(database, 0, sizeof *database);
}

static struct spool_position *position_of(struct rig_database *database, const uint8_t segment[UUID_BYTES])
{
    for (size_t i = 0; i < database->position_count; i++)
        if (memcmp(database->positions[i].segment, segment, UUID_BYTES) == 0)
            return &database->positions[i];
    return NULL;
}

enum result rig_position(void *context, const uint8_t segment[UUID_BYTES], uint64_t *offset, struct err *err)
{
    struct rig_database *database = context;
    const struct spool_position *known = position_of(database, segment);

    database->asked++;
    *offset = known ? known->offset : 0;
    if (database->answer != RESULT_OK)
        err_set(err, "the database is away");
    return database->answer;
}

int rig_has(const struct rig_database *database, const uint8_t id[UUID_BYTES])
{
    for (size_t i = database->id_count; i-- > 0;)
        if (memcmp(database->ids[i], id, UUID_BYTES) == 0)
            return 1;
    return 0;
}

static void record_one(struct rig_database *database, const struct segment_record *record)
{
    database->broken += !rig_is_intact(record);
    if (rig_has(database, record->id)) {
        database->again++;
        return;
    }
    if (database->id_count == database->id_room) {
        database->id_room = database->id_room ? 2 * database->id_room : 64;
        database->ids = realloc(database->ids, database->id_room * sizeof *database->ids);
        check(database->ids != NULL, "realloc");
    }
    memcpy(database->ids[database->id_count++], record->id, UUID_BYTES);
}

void rig_record(struct rig_database *database, const struct spool_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        record_one(database, &batch->records[i]);
    for (size_t i = 0; i < batch->position_count; i++) {
        struct spool_position *position = position_of(database, batch->positions[i].segment);

        if (!position && database->position_count == sizeof database->positions / sizeof *database->positions)
            check(0, "too many segments for this rig");
        if (!position)
            position = &database->positions[database->position_count++];
        *position = batch->positions[i];
    }
    for (size_t i = 0; i < batch->damage_count; i++)
        *(batch->damages[i].torn ? &database->torn : &database->damages) += 1;
    if (batch->damage_count > 0)
        database->damage = batch->damages[batch->damage_count - 1];
}

int rig_has_just(const struct rig_database *database, const struct rig_segment *segment, const char *wanted)
{
    size_t count = 0;

    for (size_t i = 0; wanted[i]; i++) {
        if (rig_has(database, segment->bytes + segment->offsets[i] + 16) != (wanted[i] == '1'))
            return 0;
        count += wanted[i] == '1';
    }
    return database->id_count == count && database->broken == 0;
}

struct err rig_err;

const struct spool_batch *rig_next(struct spool_reader *reader, size_t records, size_t bytes)
{
    const struct spool_batch *batch;

    return spool_reader_next(reader, records, bytes, &batch, &rig_err) == RESULT_OK ? batch : NULL;
}

int rig_settle(struct spool_reader *reader, struct rig_database *database, const struct spool_batch *batch)
{
    const uint8_t(*forget)[UUID_BYTES];
    size_t count;

    rig_record(database, batch);
    spool_reader_done(reader, &forget, &count);
    database->forgotten += count;
    return (int)count;
}

int rig_drain(struct spool_reader *reader, struct rig_database *database)
{
    const struct spool_batch *batch;
    int batches = 0;

    while ((batch = rig_next(reader, 100, 1 << 20))) {
        int empty = batch->count == 0 && batch->position_count == 0;

        if (!empty)
            rig_settle(reader, database, batch);
        if (spool_reader_trouble(reader)) {
            rig_err = *spool_reader_trouble(reader);
            break;
        }
        if (empty)
            return batches;
        batches++;
    }
    printf("# %s\n", rig_err.text);
    return -1;
}

int rig_drain_once(const struct rig *rig, struct rig_database *database)
{
    struct spool_reader *reader = spool_reader_new(rig->folder, 0, rig_position, database);
    int batches = rig_drain(reader, database);

    spool_reader_free(reader);
    return batches;
}
