/*
 * SPDX-License-Identifier: ISC
 *
 * From the spool to the database. A batch of the reader is recorded in groups, each in one transaction. The last group
 * also stores the positions behind the batch; only after its commit may the reader move on and unlink segments. A crash
 * before that commit records the batch again, which the keys of the rows make a no-op. While the database works on one
 * group, the next one is judged.
 *
 * The transaction also makes the first attempts of sql handlers. One that holds it up must not hold up the others: when
 * a group fails, it is recorded again without running anything, and the handler that ran last is left to the runners
 * for a minute, as is one that is slow.
 */
#include <config.h>

#include "work/recorder.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "event/event.h"
#include "work/outcomes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define BATCH 4096 /* most records read at a time */
#define BATCH_BYTES (8 * 1024 * 1024)
#define GROUP 1024 /* most records in one transaction */
#define GROUP_BYTES (1024 * 1024)
/* Events that arrive within this window share a transaction, which cuts PostgreSQL's CPU time per event by a factor of
   2 to 4. */
#define QUIET_LINGER_MS 10
#define BUSY_LINGER_MS 40 /* when more than BUSY_EVENTS come in that time, at the pace of the last batch */
#define BUSY_EVENTS 2
#define FULL_BATCH 512          /* after a batch this large there is no wait */
#define LOG_INTERVAL_SECONDS 60 /* how often trouble with the spool is logged */
#define LEFT_MS 60000           /* how long a handler is left to the runners */
#define LEFT_MAX 64

/* A record that was judged: an event, or the reason why it is malformed. */
struct judged {
    struct event event;
    char *reason; /* NULL: it is an event */
};

/* A handler that is left to the runners. */
struct left_handler {
    char *name;    /* NULL: this entry is free */
    int64_t until; /* monotonic ms */
};

struct recorder {
    struct store *store;
    bool has_runners; /* else those of other workers run handlers, and are woken up by a notification */
    bool failed;      /* the last group that was sent: nothing is run with the next one */
    struct left_handler left[LEFT_MAX];
    struct recorder_done done; /* by this step */
    struct spool_reader *reader;
    int inotify;                  /* -1: not available, and recorder_wait only sleeps */
    struct judged *judged;        /* room for a batch, */
    struct store_record *records; /* the same as the store wants it */
    size_t last_count;            /* records in the batch that was read last, */
    int64_t last_ms;              /* the time between it and the one before, */
    int64_t read_at;              /* and when it was read (monotonic ms) */
    int64_t trouble_logged_at;    /* monotonic ms; 0: never */
};

static enum result get_position(void *context, const uint8_t segment[UUID_BYTES], uint64_t *offset, struct err *err)
{
    return store_spool_position(context, segment, offset, err);
}

struct recorder *recorder_new(const struct conf *conf, int folder, struct store *store)
{
    struct recorder *recorder = memory_new(1, sizeof *recorder);

    recorder->judged = memory_new(BATCH, sizeof *recorder->judged);
    recorder->records = memory_new(BATCH, sizeof *recorder->records);
    recorder->store = store;
    recorder->has_runners = conf->runners > 0;
    recorder->reader = spool_reader_new(folder, conf->keep_sealed, get_position, store);
    recorder->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (recorder->inotify < 0 || inotify_add_watch(recorder->inotify, conf->spool, IN_MODIFY | IN_MOVED_TO) < 0)
        log_warning("inotify=unavailable reason=%s effect=\"the spool is read once a second\"", strerror(errno));
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    spool_reader_free(recorder->reader);
    if (recorder->inotify >= 0)
        close(recorder->inotify);
    for (size_t i = 0; i < LEFT_MAX; i++)
        free(recorder->left[i].name);
    free(recorder->judged);
    free(recorder->records);
    free(recorder);
}

/* ---- groups ---- */

/* The part of a batch that one transaction records: COUNT records from FIRST on. */
struct group {
    const struct spool_batch *batch;
    size_t first, count;
};

static bool is_last_group(const struct group *group)
{
    return group->first + group->count == group->batch->count;
}

static void judge_record(const struct segment_record *spooled, struct judged *judged)
{
    struct err reason;

    *judged = (struct judged){0};
    if (spooled->flag == SEGMENT_CUT_OFF)
        judged->reason = memory_copy_text("cut off: the body ended before its announced length");
    else if (event_read(spooled->body, spooled->body_length, &judged->event, &reason) != RESULT_OK)
        judged->reason = memory_copy_text(reason.text);
}

/* Returns the index behind the last record of the group that begins at FIRST. */
static size_t find_group_end(const struct spool_batch *batch, size_t first)
{
    size_t end = first, bytes = 0;

    while (end < batch->count && end - first < GROUP && bytes < GROUP_BYTES)
        bytes += batch->records[end++].body_length;
    return end;
}

/* Returns the group from FIRST on, judged. */
static struct group judge_group(struct recorder *recorder, const struct spool_batch *batch, size_t first)
{
    size_t end = find_group_end(batch, first);

    for (size_t i = first; i < end; i++) {
        struct judged *judged = &recorder->judged[i];

        judge_record(&batch->records[i], judged);
        recorder->records[i] = (struct store_record){.spooled = &batch->records[i],
                                                     .event = judged->reason == NULL ? &judged->event : NULL,
                                                     .reason = judged->reason};
    }
    return (struct group){batch, first, end - first};
}

static void free_group(struct recorder *recorder, const struct group *group)
{
    for (size_t i = group->first; i < group->first + group->count; i++) {
        event_free(&recorder->judged[i].event);
        free(recorder->judged[i].reason);
    }
}

/* Makes the event of this note malformed: the database cannot store it. */
static void refuse_event(struct recorder *recorder, const struct group *group, const struct store_note *note)
{
    char id[UUID_TEXT];

    for (size_t i = group->first; i < group->first + group->count; i++) {
        struct store_record *record = &recorder->records[i];

        if (record->event == NULL || strcmp(uuid_text(record->spooled->id, id), note->id) != 0)
            continue;
        record->event = NULL;
        record->reason = recorder->judged[i].reason = memory_copy_text(note->detail);
    }
}

/* ---- what recording a group found out ---- */

static bool is_about(const struct store_note *note, const char *kind)
{
    return strcmp(note->kind, kind) == 0;
}

/* Logs one line for all unhandled events of a group. */
static void log_unhandled(const struct store_notes *notes)
{
    const struct store_note *first = NULL;
    unsigned long events = 0, types = 0;

    for (size_t i = 0; i < notes->count; i++) {
        const struct store_note *note = &notes->notes[i];

        if (!is_about(note, "unhandled"))
            continue;
        first = first != NULL ? first : note;
        events += strtoul(note->events, NULL, 10);
        types++;
    }
    outcomes_count("unhandled", events);
    if (first != NULL)
        log_info("event=%s outcome=unhandled module=%s type=%s context=%s events=%lu types=%lu", first->id,
                 first->module, first->type, first->detail, events, types);
}

/* Leaves a handler to the runners. Without a free entry, the oldest one is replaced. */
static void leave_handler(struct recorder *recorder, const char *name, const char *reason)
{
    struct left_handler *entry = &recorder->left[0];

    for (size_t i = 0; i < LEFT_MAX; i++)
        if (recorder->left[i].until < entry->until)
            entry = &recorder->left[i];
    free(entry->name);
    *entry = (struct left_handler){memory_copy_text(name), clock_monotonic_ms() + LEFT_MS};
    log_warning("handler=%s first_attempts=\"left to the runners for a minute\" reason=%s", name, reason);
}

static void leave_slow_handler(struct recorder *recorder, const struct store_note *note)
{
    struct err reason;

    err_set(&reason, "a call took %s ms", note->detail);
    leave_handler(recorder, note->handler, reason.text);
}

static void count_recorded(const struct recorder *recorder, const struct group *group)
{
    size_t events = 0;

    for (size_t i = group->first; i < group->first + group->count; i++)
        events += recorder->records[i].event != NULL;
    outcomes_count("recorded", events);
    outcomes_count("malformed", group->count - events);
}

/* Takes one thing that recording a group found out. */
static void take_note(struct recorder *recorder, const struct group *group, const struct store_note *note)
{
    if (is_about(note, "malformed"))
        log_warning("event=%s malformed=%s", note->id, note->detail);
    else if (is_about(note, "retry") || is_about(note, "failed"))
        outcomes_attempt(note->handler, note->id, note->kind, note->detail);
    else if (is_about(note, "ok"))
        outcomes_first(note->handler, strtoul(note->events, NULL, 10), group->batch->records[group->first].id);
    else if (is_about(note, "slow"))
        leave_slow_handler(recorder, note);
    else if (is_about(note, "delivered") && strcmp(note->detail, "sql") == 0)
        recorder->done.delivered_sql = true;
    else if (is_about(note, "delivered"))
        recorder->done.delivered_outside = true;
}

static void take_notes(struct recorder *recorder, const struct group *group, const struct store_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        take_note(recorder, group, &notes->notes[i]);
    log_unhandled(notes);
    count_recorded(recorder, group);
}

/* ---- what is wrong with the spool ---- */

static void log_damage(const struct spool_damage *damage)
{
    char id[UUID_TEXT];

    uuid_text(damage->segment, id);
    if (damage->torn)
        log_warning("segment=%s state=torn offset=%lu length=%lu effect=\"kept in the spool's folder damaged; mostly a "
                    "batch that a killed program left unfinished, which was not answered 200\"",
                    id, (unsigned long)damage->offset, (unsigned long)damage->length);
    else
        log_error("segment=%s state=damaged offset=%lu length=%lu "
                  "effect=\"stepped over, a copy is kept in the spool's folder damaged\" remedy=\"look at the disk\"",
                  id, (unsigned long)damage->offset, (unsigned long)damage->length);
}

static void log_damages(const struct spool_batch *batch)
{
    for (size_t i = 0; i < batch->damage_count; i++)
        log_damage(&batch->damages[i]);
}

static void log_trouble(struct recorder *recorder)
{
    const struct err *trouble = recorder_trouble(recorder);
    int64_t now = clock_monotonic_ms();

    if (trouble == NULL ||
        (recorder->trouble_logged_at != 0 && now - recorder->trouble_logged_at < LOG_INTERVAL_SECONDS * 1000))
        return;
    log_error("spool=trouble reason=%s effect=\"all else is recorded; this is tried again\" "
              "remedy=\"look at its owner and its mode, and at the disk\"",
              trouble->text);
    recorder->trouble_logged_at = now;
}

/* ---- recording ---- */

static bool is_refused(const struct store_notes *notes)
{
    return notes->count > 0 && is_about(&notes->notes[0], "refused");
}

/* Lists the names of the handlers that are left to the runners. */
static size_t list_left(const struct recorder *recorder, const char **names)
{
    int64_t now = clock_monotonic_ms();
    size_t count = 0;

    for (size_t i = 0; i < LEFT_MAX; i++)
        if (recorder->left[i].until > now)
            names[count++] = recorder->left[i].name;
    return count;
}

static enum result begin_group(struct recorder *recorder, const struct group *group, struct err *err)
{
    const struct spool_batch *batch = group->batch;
    const char *left[LEFT_MAX];
    const struct store_group sent = {
        .records = recorder->records + group->first,
        .count = group->count,
        .positions = batch->positions,
        .position_count = is_last_group(group) ? batch->position_count : 0,
        .notify = !recorder->has_runners,
        .run = recorder->has_runners && !recorder->failed,
        .not_at_once = left,
        .not_at_once_count = list_left(recorder, left),
    };

    return store_record_begin(recorder->store, &sent, err);
}

/*
 * Waits for a group that was begun. When it fails while handlers may run in it, it is sent again without them, unless
 * the connection is lost: then that is done after the next one is made.
 */
static enum result receive_group(struct recorder *recorder, const struct group *group, struct store_notes *notes,
                                 struct err *err)
{
    enum result result = store_record_end(recorder->store, notes, err);
    const char *handler = result != RESULT_OK ? store_failed_handler(recorder->store) : NULL;
    bool again = handler != NULL && recorder->has_runners && !recorder->failed;

    if (again && *handler != '\0')
        leave_handler(recorder, handler, err->text);
    recorder->failed = result != RESULT_OK;
    if (!again || store_descriptor(recorder->store) < 0)
        return result;
    result = begin_group(recorder, group, err);
    if (result == RESULT_OK)
        result = store_record_end(recorder->store, notes, err);
    recorder->failed = result != RESULT_OK;
    return result;
}

/* Ends a group. Events that the database cannot store become malformed, and the whole group is sent again. */
static enum result end_group(struct recorder *recorder, const struct group *group, struct err *err)
{
    struct store_notes notes;
    enum result result = receive_group(recorder, group, &notes, err);

    if (result == RESULT_OK && is_refused(&notes)) {
        for (size_t i = 0; i < notes.count; i++)
            refuse_event(recorder, group, &notes.notes[i]);
        store_free_notes(&notes);
        result = begin_group(recorder, group, err);
        if (result == RESULT_OK)
            result = receive_group(recorder, group, &notes, err);
    }
    if (result != RESULT_OK)
        return result;
    if (is_refused(&notes)) { /* nothing is recorded: the spool must stay as it is */
        err_set(err, "the database refuses event %s again: %s", notes.notes[0].id, notes.notes[0].detail);
        result = RESULT_FAIL;
    } else {
        take_notes(recorder, group, &notes);
    }
    store_free_notes(&notes);
    return result;
}

/* Records a batch, which may hold positions only. */
static enum result record_groups(struct recorder *recorder, const struct spool_batch *batch, struct err *err)
{
    struct group group = judge_group(recorder, batch, 0);
    enum result result;
    bool last;

    do {
        struct group next = {0};

        last = is_last_group(&group);
        result = begin_group(recorder, &group, err);
        if (result == RESULT_OK) {
            if (!last)
                next = judge_group(recorder, batch, group.first + group.count);
            result = end_group(recorder, &group, err);
        }
        free_group(recorder, &group);
        group = next;
    } while (result == RESULT_OK && !last);
    free_group(recorder, &group); /* after a failure: the next one, judged already */
    return result;
}

/* Records a batch and lets the reader move on. */
static enum result record_batch(struct recorder *recorder, const struct spool_batch *batch, struct err *err)
{
    size_t forget_count;
    const uint8_t(*forget)[UUID_BYTES];
    enum result result = record_groups(recorder, batch, err);

    if (result != RESULT_OK)
        return result;
    spool_reader_done(recorder->reader, &forget, &forget_count);
    return store_forget(recorder->store, forget, forget_count, err);
}

static void note_pace(struct recorder *recorder, size_t count)
{
    int64_t now = clock_monotonic_ms();

    recorder->last_count = count;
    recorder->last_ms = now - recorder->read_at;
    recorder->read_at = now;
}

enum result recorder_step(struct recorder *recorder, struct recorder_done *done, struct err *err)
{
    const struct spool_batch *batch;
    enum result result = spool_reader_next(recorder->reader, BATCH, BATCH_BYTES, &batch, err);

    *done = recorder->done = (struct recorder_done){0};
    if (result != RESULT_OK)
        return result;
    log_damages(batch);
    recorder->done.recorded = batch->count;
    if (batch->count > 0)
        note_pace(recorder, batch->count);
    if (batch->count > 0 || batch->position_count > 0)
        result = record_batch(recorder, batch, err);
    *done = recorder->done;
    log_trouble(recorder);
    return result;
}

const struct err *recorder_trouble(const struct recorder *recorder)
{
    return spool_reader_trouble(recorder->reader);
}

bool recorder_has_more(struct recorder *recorder)
{
    const struct spool_batch *batch;
    struct err err;

    if (spool_reader_next(recorder->reader, BATCH, BATCH_BYTES, &batch, &err) != RESULT_OK)
        return false;
    log_damages(batch); /* the reader gives them once, and the batch again */
    return batch->count > 0;
}

/* Returns how long to wait for more events before the next batch is read. */
static int linger_ms(const struct recorder *recorder)
{
    int64_t since = clock_monotonic_ms() - recorder->read_at;
    int64_t ms = since > recorder->last_ms ? since : recorder->last_ms; /* a pause counts, too */

    if (recorder->last_count >= FULL_BATCH)
        return 0;
    return (int64_t)recorder->last_count * BUSY_LINGER_MS > BUSY_EVENTS * ms ? BUSY_LINGER_MS : QUIET_LINGER_MS;
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
