/*
 * SPDX-License-Identifier: ISC
 *
 * From the spool to the database. A batch of the reader is recorded in groups, each in one transaction, the last one
 * together with the batch's positions in the spool; only then does the reader move on and unlink. A crash in between
 * records the batch again, which the rows' keys make a no-op. While the database works on one group, the next is
 * judged.
 */
#include <config.h>

#include "work/recorder.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "event/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define BATCH 4096 /* at most so much is read at once, */
#define BATCH_BYTES (8 * 1024 * 1024)
#define GROUP 1024 /* and so much recorded in one transaction */
#define GROUP_BYTES (1024 * 1024)
/* What comes within so long is recorded together: the database's CPU for an event falls 2 to 4 times with it. */
#define QUIET_LINGER_MS 10
#define BUSY_LINGER_MS 40 /* when more than FEW come in that time, at the pace of the last batch, */
#define FEW 2
#define LARGE 512       /* none when so many were in it */
#define WARNED_TYPES 64 /* module:type pairs whose warnings are remembered */
#define WARN_EVERY_SECONDS 60

/* When an unhandled module:type was last warned about, and what was held back since. */
struct warned {
    char *name;
    time_t at;
    unsigned long held_back;
};

struct recorder {
    struct store *store;
    int notify; /* nobody here handles what is recorded: other workers must be told */
    struct spool_reader *reader;
    int inotify; /* -1: none to be had, then recorder_wait only sleeps */
    struct warned warned[WARNED_TYPES];
    size_t next_warned;    /* the entry that is overwritten when all are taken */
    struct judged *judged; /* room for a batch */
    size_t last_count;     /* of the batch that was read last, */
    int64_t last_ms;       /* and how long after the one before */
    int64_t read_ms;       /* when that was (monotonic) */
    time_t troubled;       /* when trouble with the spool was last said */
};

static enum result find_position(void *context, const uint8_t segment[UUID_BYTES], uint64_t *position, struct err *err)
{
    return store_spool_position(context, segment, position, err);
}

struct recorder *recorder_new(const struct conf *conf, int folder, struct store *store)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);

    if (recorder == NULL || (recorder->judged = calloc(BATCH, sizeof *recorder->judged)) == NULL)
        abort();
    recorder->store = store;
    recorder->notify = conf->runners == 0;
    recorder->reader = spool_reader_new(folder, conf->keep_sealed, find_position, store);
    recorder->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (recorder->inotify < 0 || inotify_add_watch(recorder->inotify, conf->spool, IN_MODIFY | IN_MOVED_TO) < 0)
        log_warning("inotify=unavailable reason=%s effect=\"the spool is looked at each second\"", strerror(errno));
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (recorder == NULL)
        return;
    spool_reader_free(recorder->reader);
    if (recorder->inotify >= 0)
        close(recorder->inotify);
    for (size_t i = 0; i < WARNED_TYPES; i++)
        free(recorder->warned[i].name);
    free(recorder->judged);
    free(recorder);
}

/* Takes a record apart, or says why it is no event. */
static void judge(const struct segment_record *record, struct judged *judged)
{
    struct err why;

    *judged = (struct judged){0};
    if (record->flag == SEGMENT_CUT_OFF)
        judged->reason = memory_copy_text("cut off: the body ended before its announced length");
    else if (event_read(record->body, record->body_length, &judged->event, &why) != RESULT_OK)
        judged->reason = memory_copy_text(why.text);
    else if (record->flag == SEGMENT_NOT_OBJECT)
        judged->reason = memory_copy_text("not one whole JSON object");
}

/* A part of a batch, in records and in bytes, and what its records are. */
struct group {
    struct spool_batch batch; /* borrows from the whole one */
    struct judged *judged;
};

/* Where the group that begins at FIRST ends. */
static size_t group_end(const struct spool_batch *batch, size_t first)
{
    size_t end = first, bytes = 0;

    while (end < batch->count && end - first < GROUP && bytes < GROUP_BYTES)
        bytes += batch->records[end++].body_length;
    return end;
}

/* The group from FIRST on, judged. The places of the batch are the last one's. */
static struct group take_group(struct recorder *recorder, const struct spool_batch *batch, size_t first)
{
    size_t end = group_end(batch, first);
    struct group group = {{.records = batch->records + first, .count = end - first}, recorder->judged + first};

    if (end == batch->count) {
        group.batch.positions = batch->positions;
        group.batch.position_count = batch->position_count;
    }
    for (size_t i = 0; i < group.batch.count; i++)
        judge(&group.batch.records[i], &group.judged[i]);
    return group;
}

static void free_group(const struct group *group)
{
    for (size_t i = 0; i < group->batch.count; i++) {
        event_free(&group->judged[i].event);
        free(group->judged[i].reason);
    }
}

/* The event of this id is malformed after all. */
static void refuse(const struct group *group, const struct store_note *note)
{
    char id[UUID_TEXT];

    for (size_t i = 0; i < group->batch.count; i++)
        if (group->judged[i].reason == NULL && strcmp(uuid_text(group->batch.records[i].id, id), note->id) == 0)
            group->judged[i].reason = memory_copy_text(note->detail);
}

/* The entry of a module:type; a new one, with `at` 0, when it is not remembered. */
static struct warned *find_warned(struct recorder *recorder, const char *name)
{
    struct warned *entry;

    for (size_t i = 0; i < WARNED_TYPES; i++)
        if (recorder->warned[i].name != NULL && strcmp(recorder->warned[i].name, name) == 0)
            return &recorder->warned[i];
    entry = &recorder->warned[recorder->next_warned++ % WARNED_TYPES];
    free(entry->name);
    *entry = (struct warned){.name = memory_copy_text(name)};
    return entry;
}

static void warn_unhandled(struct recorder *recorder, const struct store_note *note)
{
    struct warned *entry;
    time_t now = time(NULL);
    char *name;

    if (asprintf(&name, "%s:%s", note->module, note->type) < 0)
        abort();
    entry = find_warned(recorder, name);
    if (entry->at != 0 && now - entry->at < WARN_EVERY_SECONDS) {
        entry->held_back += strtoul(note->events, NULL, 10);
    } else {
        log_warning("event=%s unhandled=%s events=%s context=%s not_said_since=%lu", note->id, name, note->events,
                    note->detail, entry->held_back);
        entry->at = now;
        entry->held_back = 0;
    }
    free(name);
}

static void say_notes(struct recorder *recorder, const struct store_note *notes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(notes[i].kind, "unhandled") == 0)
            warn_unhandled(recorder, &notes[i]);
        else
            log_warning("event=%s malformed=%s", notes[i].id, notes[i].detail);
    }
}

static void say_damages(const struct spool_batch *batch)
{
    for (size_t i = 0; i < batch->damage_count; i++) {
        char id[UUID_TEXT];

        log_error(
            "segment=%s state=damaged offset=%lu length=%lu effect=\"stepped over, a copy is kept in the spool's folder "
            "damaged\" remedy=\"look at the disk\"",
            uuid_text(batch->damages[i].segment, id), (unsigned long)batch->damages[i].offset,
            (unsigned long)batch->damages[i].length);
    }
}

static void say_trouble(struct recorder *recorder)
{
    const struct err *trouble = recorder_trouble(recorder);
    time_t now = time(NULL);

    if (trouble == NULL || now - recorder->troubled < WARN_EVERY_SECONDS)
        return;
    log_error("spool=trouble reason=%s effect=\"all else is recorded; this is tried again\" remedy=\"look at its owner "
              "and its mode, and at the disk\"",
              trouble->text);
    recorder->troubled = now;
}

static int is_refused(const struct store_note *notes, size_t count)
{
    return count > 0 && strcmp(notes[0].kind, "refused") == 0;
}

static enum result begin_group(struct recorder *recorder, const struct group *group, struct err *err)
{
    return store_record_begin(recorder->store, &group->batch, group->judged, recorder->notify, err);
}

/* Waits for a group. What the database cannot store is malformed, and all of the group is recorded a second time. */
static enum result end_group(struct recorder *recorder, const struct group *group, struct err *err)
{
    struct store_note *notes;
    size_t count;
    enum result result = store_record_end(recorder->store, &notes, &count, err);

    if (result == RESULT_OK && is_refused(notes, count)) {
        for (size_t i = 0; i < count; i++)
            refuse(group, &notes[i]);
        store_free_notes(notes, count);
        result = begin_group(recorder, group, err);
        if (result == RESULT_OK)
            result = store_record_end(recorder->store, &notes, &count, err);
    }
    if (result != RESULT_OK)
        return result;
    if (is_refused(notes, count)) { /* nothing is recorded, so the spool must stay as it is */
        err_set(err, "the database refuses event %s again: %s", notes[0].id, notes[0].detail);
        result = RESULT_FAIL;
    } else {
        say_notes(recorder, notes, count);
    }
    store_free_notes(notes, count);
    return result;
}

/* Records a batch, which may be one of places only. */
static enum result record_groups(struct recorder *recorder, const struct spool_batch *batch, struct err *err)
{
    struct group group = take_group(recorder, batch, 0);
    enum result result;
    size_t end = 0;

    do {
        struct group next = {0};

        end += group.batch.count;
        result = begin_group(recorder, &group, err);
        if (result == RESULT_OK) {
            if (end < batch->count)
                next = take_group(recorder, batch, end);
            result = end_group(recorder, &group, err);
        }
        free_group(&group);
        group = next;
    } while (result == RESULT_OK && end < batch->count);
    free_group(&group); /* judged in vain */
    return result;
}

/* Records a batch and lets the reader move on. */
static enum result record(struct recorder *recorder, const struct spool_batch *batch, struct err *err)
{
    size_t forget_count;
    const uint8_t(*forget)[UUID_BYTES];
    enum result result = record_groups(recorder, batch, err);

    if (result != RESULT_OK)
        return result;
    spool_reader_done(recorder->reader, &forget, &forget_count);
    return store_forget(recorder->store, forget, forget_count, err);
}

static void keep_pace(struct recorder *recorder, size_t count)
{
    int64_t now = clock_monotonic_ms();

    recorder->last_count = count;
    recorder->last_ms = now - recorder->read_ms;
    recorder->read_ms = now;
}

enum result recorder_step(struct recorder *recorder, size_t *recorded, struct err *err)
{
    const struct spool_batch *batch;
    enum result result = spool_reader_next(recorder->reader, BATCH, BATCH_BYTES, &batch, err);

    *recorded = 0;
    if (result != RESULT_OK)
        return result;
    say_damages(batch);
    *recorded = batch->count;
    if (batch->count > 0)
        keep_pace(recorder, batch->count);
    if (batch->count > 0 || batch->position_count > 0)
        result = record(recorder, batch, err);
    say_trouble(recorder);
    return result;
}

const struct err *recorder_trouble(const struct recorder *recorder)
{
    return spool_reader_trouble(recorder->reader);
}

int recorder_has_more(struct recorder *recorder)
{
    const struct spool_batch *batch;
    struct err err;

    if (spool_reader_next(recorder->reader, BATCH, BATCH_BYTES, &batch, &err) != RESULT_OK)
        return 0;
    say_damages(batch); /* which are told once; the batch itself comes again */
    return batch->count > 0;
}

/* How long to let more come before it is recorded. */
static int linger_ms(const struct recorder *recorder)
{
    int64_t since = clock_monotonic_ms() - recorder->read_ms;
    int64_t ms = since > recorder->last_ms ? since : recorder->last_ms; /* a pause ends the pace */

    if (recorder->last_count >= LARGE)
        return 0;
    return (int64_t)recorder->last_count * BUSY_LINGER_MS > FEW * ms ? BUSY_LINGER_MS : QUIET_LINGER_MS;
}

void recorder_wait(struct recorder *recorder, int timeout_ms)
{
    struct pollfd fd = {.fd = recorder->inotify, .events = POLLIN};
    char changes[4096];

    if (signals_poll(&fd, 1, timeout_ms) <= 0)
        return;
    nanosleep(&(struct timespec){.tv_nsec = linger_ms(recorder) * 1000000L}, NULL);
    while (read(recorder->inotify, changes, sizeof changes) > 0)
        ;
}
