/*
 * SPDX-License-Identifier: ISC
 *
 * The spool between living processes: writers that append while the reader reads, that fork, and that are killed at any
 * moment. Linked with a fake of lock_take that lets something happen before it.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock.h"
#include "spool_rig.h"
#include "tap.h"

static struct err err;

/* ---- living writers ---- */

/* A writer in a child that does as it is told by a pipe: x appends an event, whose id comes back, q ends. */
struct living {
    const struct rig *rig;
    pid_t pid;
    int orders[2], answers[2];
    void (*fork_hook)(void);
};

static int live(void *context)
{
    struct living *living = context;
    struct spool_writer_limits limits = spool_writer_defaults;
    struct spool_writer *writer;
    char order;

    limits.min_free = 1;
    close(living->orders[1]);
    writer = spool_writer_new(living->rig->folder, &limits);
    while (read(living->orders[0], &order, 1) == 1 && order == 'x') {
        struct segment_record record = rig_event(200);

        if (spool_writer_append(writer, &record, 1, &err) != RESULT_OK)
            return 1;
        if (living->fork_hook)
            living->fork_hook();
        if (write(living->answers[1], record.id, UUID_BYTES) != UUID_BYTES)
            return 2;
    }
    spool_writer_free(writer);
    return 0;
}

static void begin_to_live(struct living *living, const struct rig *rig)
{
    living->rig = rig;
    if (pipe(living->orders) != 0 || pipe(living->answers) != 0)
        exit(99);
    living->pid = rig_start(live, living);
    close(living->orders[0]);
    close(living->answers[1]);
}

static void let_append(struct living *living, uint8_t id[UUID_BYTES])
{
    rig_tell(living->orders[1]);
    if (read(living->answers[0], id, UUID_BYTES) != UUID_BYTES)
        exit(99);
}

static int end_of_life(struct living *living, int signal)
{
    if (signal)
        kill(living->pid, signal);
    else if (write(living->orders[1], "q", 1) != 1)
        exit(99);
    close(living->orders[1]);
    close(living->answers[0]);
    return rig_wait(living->pid);
}

static void test_two_writers(void)
{
    struct rig_database database = {0};
    struct living one = {0}, two = {0};
    uint8_t ids[40][UUID_BYTES];
    struct spool_reader *reader;
    struct rig rig;
    int fine = 1;

    rig_open(&rig);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    begin_to_live(&one, &rig);
    for (int i = 0; i < 40; i++) {
        if (i == 1)
            begin_to_live(&two, &rig); /* while the first one's segment is known and quiet */
        let_append(i % 2 ? &two : &one, ids[i]);
        if (i % 3 == 0)
            fine &= rig_drain(reader, &database) >= 0 && rig_has(&database, ids[i]);
    }
    ok(fine, "what two living writers append is read at once");
    ok(rig_count(&rig, ".", ".seg") == 2 && database.forgotten == 0, "their segments stay");
    ok(end_of_life(&one, 0) == 0 && rig_drain(reader, &database) >= 0 && rig_count(&rig, ".", ".seg") == 1,
       "the one that ended in good order is unlinked");
    let_append(&two, ids[0]);
    end_of_life(&two, SIGKILL);
    ok(rig_drain(reader, &database) >= 0 && rig_is_empty(&rig), "the one that was killed is, too");
    ok(database.id_count == 41 && database.again == 0 && database.broken == 0 && rig_has(&database, ids[0]),
       "all came, each once");
    spool_reader_free(reader);
    rig_database_free(&database);
    rig_close(&rig);
}

/* What happens in the moment before the reader asks for the lock. */
static void (*before_lock)(void);
static struct living *last_words;
static uint8_t last_id[UUID_BYTES];

bool __real_lock_take(int fd);
bool __wrap_lock_take(int fd);

static int no_locks; /* as on a file system that is mounted without */

bool __wrap_lock_take(int fd)
{
    void (*hook)(void) = before_lock;

    if (no_locks) {
        errno = ENOLCK;
        return false;
    }

    before_lock = NULL;
    if (hook)
        hook();
    return __real_lock_take(fd);
}

static void append_and_die(void)
{
    let_append(last_words, last_id);
    end_of_life(last_words, SIGKILL);
}

static void test_last_words(void)
{
    struct rig_database database = {0};
    struct living living = {0};
    uint8_t ids[20][UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    begin_to_live(&living, &rig);
    for (int i = 0; i < 20; i++)
        let_append(&living, ids[i]);
    last_words = &living;
    before_lock = append_and_die;
    ok(rig_drain_once(&rig, &database) == 1 && rig_is_empty(&rig) && database.id_count == 21 &&
           rig_has(&database, last_id),
       "what a writer appended just before it died is read before its segment is unlinked");
    rig_database_free(&database);
    rig_close(&rig);
}

/* A writer that holds the lock and shows its file growing byte by byte. */
static const struct rig *slow_rig;
static const struct rig_segment *slow_segment;
static int slow_orders[2], slow_answers[2];

static int write_slowly(void *context)
{
    char name[SEGMENT_NAME_BYTES];
    int fd = openat(slow_rig->folder, segment_name(slow_segment->id, ".new", name), O_RDWR | O_CREAT, 0600);

    (void)context;
    if (fd < 0 || !lock_take(fd))
        return 1;
    for (size_t i = 0; i < slow_segment->length; i++) {
        if (pwrite(fd, slow_segment->bytes + i, 1, (off_t)i) != 1)
            return 1;
        if (i + 1 < SEGMENT_HEADER_BYTES)
            continue;
        if (i + 1 == SEGMENT_HEADER_BYTES) {
            char seg[SEGMENT_NAME_BYTES];

            renameat(slow_rig->folder, name, slow_rig->folder, segment_name(slow_segment->id, ".seg", seg));
        }
        rig_tell(slow_answers[1]);
        rig_hear(slow_orders[0]);
    }
    pause();
    return 0;
}

static void test_incomplete(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;
    pid_t writer;
    int fine = 1;

    rig_open(&rig);
    rig_segment_make(&segment, 2, 30);
    slow_rig = &rig;
    slow_segment = &segment;
    if (pipe(slow_orders) != 0 || pipe(slow_answers) != 0)
        exit(99);
    writer = rig_start(write_slowly, NULL);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    for (size_t length = SEGMENT_HEADER_BYTES; length <= segment.length; length++) {
        size_t whole = (length >= segment.offsets[1]) + (length >= segment.length);

        rig_hear(slow_answers[0]);
        fine &= rig_drain(reader, &database) >= 0 && database.id_count == whole && !rig_is_empty(&rig);
        rig_tell(slow_orders[1]);
    }
    ok(fine && database.damages == 0, "half a record of a living writer is waited for");
    kill(writer, SIGKILL);
    rig_wait(writer);
    ok(rig_drain(reader, &database) == 1 && rig_is_empty(&rig) && rig_has_just(&database, &segment, "11"),
       "until it is whole");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* A careless library's child: it lives on when the writer is gone. */
static int lives_on[2];

static void fork_once(void)
{
    static int forked;

    if (!forked++ && fork() == 0) {
        rig_hear(lives_on[0]);
        _exit(0);
    }
}

static void test_fork(void)
{
    struct rig_database database = {0};
    struct living living = {.fork_hook = fork_once};
    uint8_t ids[2][UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    if (pipe(lives_on) != 0)
        exit(99);
    begin_to_live(&living, &rig);
    let_append(&living, ids[0]);
    let_append(&living, ids[1]);
    ok(rig_drain_once(&rig, &database) == 1 && !rig_is_empty(&rig), "a living writer that forked keeps its segment");
    end_of_life(&living, SIGKILL);
    ok(rig_drain_once(&rig, &database) == 1 && rig_is_empty(&rig) && database.id_count == 2,
       "its child, living on, does not keep it once the writer is killed");
    rig_tell(lives_on[1]);
    rig_database_free(&database);
    rig_close(&rig);
}

static void test_no_locks(void)
{
    struct rig_database database = {0};
    struct spool_reader *reader;
    struct rig_segment segment;
    struct rig rig;

    rig_open(&rig);
    rig_segment_make(&segment, 2, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    no_locks = 1;
    rig_settle(reader, &database, rig_next(reader, 100, 1 << 20));
    ok(spool_reader_trouble(reader) != NULL && strstr(spool_reader_trouble(reader)->text, "cannot lock segment"),
       "where nothing can be locked, that is said");
    ok(rig_has_just(&database, &segment, "11") && !rig_is_empty(&rig),
       "what is whole is read, and no writer is taken for dead");
    no_locks = 0;
    ok(rig_drain(reader, &database) == 1 && rig_is_empty(&rig) && database.again == 0,
       "until it can be: then the segment is removed");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

static int hold_file(void *context)
{
    int fd = openat(slow_rig->folder, context, O_RDWR);

    if (fd < 0 || !lock_take(fd))
        return 1;
    rig_tell(slow_answers[1]);
    pause();
    return 0;
}

static void test_unborn(void)
{
    char old[SEGMENT_NAME_BYTES], young[SEGMENT_NAME_BYTES], held[SEGMENT_NAME_BYTES];
    struct rig_database database = {0};
    uint8_t id[UUID_BYTES];
    struct stat st;
    struct rig rig;
    pid_t holder;

    rig_open(&rig);
    uuid_new(id);
    rig_write(&rig, segment_name(id, ".new", old), id, 16);
    uuid_new(id);
    rig_write(&rig, segment_name(id, ".new", young), id, 16);
    uuid_new(id);
    rig_write(&rig, segment_name(id, ".new", held), id, 16);
    rig_set_age(&rig, old, 100);
    rig_set_age(&rig, held, 100);
    slow_rig = &rig;
    if (pipe(slow_answers) != 0)
        exit(99);
    holder = rig_start(hold_file, held);
    rig_hear(slow_answers[0]);
    rig_drain_once(&rig, &database);
    ok(fstatat(rig.folder, old, &st, 0) != 0, "what a writer that died at birth left is removed");
    ok(fstatat(rig.folder, young, &st, 0) == 0, "when it is more than a minute old,");
    ok(fstatat(rig.folder, held, &st, 0) == 0, "and not when it is held");
    kill(holder, SIGKILL);
    rig_wait(holder);
    rig_close(&rig);
}

static void test_strange_entries(void)
{
    struct rig_database database = {0};
    const struct spool_batch *batch;
    char name[SEGMENT_NAME_BYTES];
    struct spool_reader *reader;
    struct rig_segment segment;
    uint8_t id[UUID_BYTES];
    struct rig rig;

    rig_open(&rig);
    uuid_new(id);
    mkdirat(rig.folder, segment_name(id, ".seg", name), 0700);
    rig_write(&rig, "worker.lock", id, 16);
    rig_segment_make(&segment, 2, 100);
    rig_segment_save(&rig, &segment, segment.length);
    reader = spool_reader_new(rig.folder, 0, rig_position, &database);
    batch = rig_next(reader, 100, 1 << 20);
    ok(batch && rig_settle(reader, &database, batch) == 1 && rig_has_just(&database, &segment, "11"),
       "what cannot be opened does not keep others from being read");
    ok(spool_reader_trouble(reader) && strstr(spool_reader_trouble(reader)->text, name), "and is named: %s",
       spool_reader_trouble(reader)->text);
    unlinkat(rig.folder, name, AT_REMOVEDIR);
    ok(rig_drain(reader, &database) == 0 && !spool_reader_trouble(reader), "taken away, all is well");
    spool_reader_free(reader);
    rig_segment_free(&segment);
    rig_database_free(&database);
    rig_close(&rig);
}

/* ---- kill -9 under load ---- */

#define LIVES 40

struct stress {
    const struct rig *rig;
    int acks;
    unsigned seed;
};

static unsigned roll(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static int append_for_ever(void *context)
{
    const struct spool_writer_limits limits = {
        .segment_bytes = 30000, .age_ms = 60000, .idle_ms = 60000, .min_free = 1};
    struct stress *stress = context;
    struct spool_writer *writer = spool_writer_new(stress->rig->folder, &limits);

    for (;;) {
        struct segment_record records[20];
        uint8_t ids[20][UUID_BYTES];
        size_t count = 1 + roll(&stress->seed) % 20;

        for (size_t i = 0; i < count; i++) {
            records[i] = rig_event(roll(&stress->seed) % 3000);
            memcpy(ids[i], records[i].id, UUID_BYTES);
        }
        if (spool_writer_append(writer, records, count, &err) != RESULT_OK)
            return 1;
        if (write(stress->acks, ids, count * UUID_BYTES) != (ssize_t)(count * UUID_BYTES))
            return 2;
        rig_forget_bodies();
    }
}

/* One writer's life: it is killed after some acknowledgements and a moment more. Returns how many it gave. */
static size_t live_and_die(struct stress *stress, uint8_t (*acked)[UUID_BYTES], size_t room)
{
    size_t enough = 1 + roll(&stress->seed) % 60, have = 0;
    int ends[2];
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0)
        exit(99);
    stress->acks = ends[1];
    child = rig_start(append_for_ever, stress);
    close(ends[1]);
    while ((have < enough * UUID_BYTES) && (got = read(ends[0], (uint8_t *)acked + have, UUID_BYTES)) > 0)
        have += (size_t)got;
    for (unsigned spin = roll(&stress->seed) % 2000; spin > 0; spin--)
        getppid();
    kill(child, SIGKILL);
    while (have < room * UUID_BYTES && (got = read(ends[0], (uint8_t *)acked + have, room * UUID_BYTES - have)) > 0)
        have += (size_t)got;
    close(ends[0]);
    if (rig_wait(child) != 128 + SIGKILL)
        exit(99);
    return have / UUID_BYTES;
}

/* A reader that dies now and then before it is done: its records are committed, or not. */
static void read_a_little(const struct rig *rig, struct rig_database *database, unsigned *seed)
{
    struct spool_reader *reader = spool_reader_new(rig->folder, 0, rig_position, database);

    for (unsigned batches = roll(seed) % 8; batches > 0; batches--) {
        const struct spool_batch *batch = rig_next(reader, 1 + roll(seed) % 30, 20000);

        if (!batch || (batch->count == 0 && batch->position_count == 0))
            break;
        if (batches == 1 && roll(seed) % 2)
            rig_record(database, batch);
        if (batches == 1)
            break;
        rig_settle(reader, database, batch);
    }
    spool_reader_free(reader);
}

static void test_kill_under_load(void)
{
    static uint8_t acked[LIVES * 200][UUID_BYTES];
    struct rig_database database = {0};
    struct stress stress = {.seed = 20240607};
    size_t count = 0, lost = 0;
    unsigned seed = 7;
    struct rig rig;

    rig_open(&rig);
    stress.rig = &rig;
    for (int i = 0; i < LIVES; i++) {
        size_t more = live_and_die(&stress, acked + count, LIVES * 200 - count);

        stress.seed += 12345;
        count += more;
        read_a_little(&rig, &database, &seed);
    }
    ok(rig_drain_once(&rig, &database) >= 0 && rig_is_empty(&rig), "after %d writers killed at any moment all is read",
       LIVES);
    for (size_t i = 0; i < count; i++)
        lost += !rig_has(&database, acked[i]);
    ok(lost == 0 && count > LIVES, "%zu of %zu acknowledged events are lost", lost, count);
    ok(database.broken == 0 && database.damages == 0, "none is broken, and no damage is reported");
    ok(database.again == 0, "and with positions committed, none came twice");
    rig_database_free(&database);
    rig_close(&rig);
}

int main(void)
{
    test_two_writers();
    test_last_words();
    test_incomplete();
    test_fork();
    test_no_locks();
    test_unborn();
    test_strange_entries();
    test_kill_under_load();
    rig_forget_bodies();
    return done();
}
