/*
 * SPDX-License-Identifier: ISC
 *
 * A crash model of the spool. The linker puts a layer under the real writer and the real reader, which notes each
 * write, sync, rename, unlink and truncation of a run in a trace: several writers, of which some are killed, and a
 * reader between them. For each prefix of the trace this builds the folders that a power cut at that moment may leave,
 * lets the real reader record each of them, and asserts: every acknowledged event is recorded, once, with its bytes;
 * nothing else is; the reader comes to an end.
 *
 * What a power cut may do: bytes of a file that no fdatasync followed are there, or not, in blocks of 512 bytes, in any
 * order; the file is as long as any of them, or longer with zeros. Entries of the folder that no fsync of it followed
 * are there up to some point of the order in which they were made, for the journals of file systems keep that order.
 */
#include <config.h>

#include "spool_rig.h"
#include "spool_wraps.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define OPS 4096
#define FILES 24
#define FILE_BYTES (128u << 10)
#define DATA_BYTES (32u << 20)
#define BLOCK 512u
#define VARIANTS 6 /* of each prefix: nothing that was not synced, all of it, and at random */

enum op_kind {
    OP_CREATE,
    OP_WRITE,
    OP_TRUNCATE,
    OP_SYNC,
    OP_SYNC_FOLDER,
    OP_RENAME,
    OP_UNLINK,
    OP_SENT,
    OP_ACK,
    OP_COMMIT
};

struct op {
    enum op_kind kind;
    int file; /* by its number, in the order of creation */
    char name[SEGMENT_NAME_BYTES], to[SEGMENT_NAME_BYTES];
    uint64_t offset;
    size_t length, data; /* the bytes, in trace->data */
    uint8_t id[UUID_BYTES];
    size_t ids,
        positions; /* OP_COMMIT: how many of each the database holds, and where the positions lie in trace->data */
};

/* Shared by the processes of the run, of which one works at a time. */
static struct trace {
    bool on;
    int folder; /* the traced one */
    size_t op_count, data_used;
    int file_count;
    ino_t inodes[FILES];
    struct op ops[OPS];
    uint8_t data[DATA_BYTES];
} * trace;

static struct rig_database recorded; /* by the run's reader */

static void must_be(bool fine, const char *what)
{
    if (fine)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the layer ---- */

static struct op *add_op(enum op_kind kind)
{
    must_be(trace->op_count < OPS, "the trace is full");
    trace->ops[trace->op_count] = (struct op){.kind = kind, .file = -1};
    return &trace->ops[trace->op_count++];
}

static size_t add_data(const void *bytes, size_t length)
{
    size_t at = trace->data_used;

    must_be(length <= DATA_BYTES - at, "the trace's data is full");
    memcpy(trace->data + at, bytes, length);
    trace->data_used += length;
    return at;
}

/* The number of the file behind FD: of the newest with its inode, which may have been used before; -1 when not traced.
 */
static int file_of(int fd)
{
    struct stat st;

    if (!trace->on || fstat(fd, &st) != 0)
        return -1;
    for (int i = trace->file_count; i-- > 0;)
        if (trace->inodes[i] == st.st_ino)
            return i;
    return -1;
}

static bool is_traced_folder(int fd)
{
    struct stat a, b;

    return trace->on && fstat(fd, &a) == 0 && fstat(trace->folder, &b) == 0 && a.st_ino == b.st_ino;
}

int __wrap_openat(int folder, const char *name, int flags, ...)
{
    va_list args;
    mode_t mode;
    int fd;
    struct stat st;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    fd = __real_openat(folder, name, flags, mode);
    if (fd >= 0 && flags & O_CREAT && is_traced_folder(folder)) {
        struct op *op = add_op(OP_CREATE);

        must_be(trace->file_count < FILES && fstat(fd, &st) == 0, "too many files");
        op->file = trace->file_count;
        snprintf(op->name, sizeof op->name, "%s", name);
        trace->inodes[trace->file_count++] = st.st_ino;
    }
    return fd;
}

static void note_write(int fd, const void *bytes, ssize_t length, off_t offset)
{
    int file = file_of(fd);
    struct op *op;

    if (file < 0 || length <= 0)
        return;
    op = add_op(OP_WRITE);
    op->file = file;
    op->offset = (uint64_t)offset;
    op->length = (size_t)length;
    op->data = add_data(bytes, (size_t)length);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    ssize_t put = __real_pwrite(fd, bytes, length, offset);

    note_write(fd, bytes, put, offset);
    return put;
}

ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t put = 0;

    for (int i = 0; i < count; i++)
        put += __wrap_pwrite(fd, parts[i].iov_base, parts[i].iov_len, offset + put);
    return put;
}

static void note_file_op(enum op_kind kind, int fd, uint64_t offset)
{
    int file = file_of(fd);

    if (file >= 0) {
        struct op *op = add_op(kind);

        op->file = file;
        op->offset = offset;
    }
}

int __wrap_fdatasync(int fd)
{
    note_file_op(OP_SYNC, fd, 0);
    return 0; /* the power cuts are of the model: nothing has to reach the real disk */
}

int __wrap_fsync(int fd)
{
    if (is_traced_folder(fd))
        add_op(OP_SYNC_FOLDER);
    else
        note_file_op(OP_SYNC, fd, 0);
    return 0;
}

int __wrap_ftruncate(int fd, off_t length)
{
    note_file_op(OP_TRUNCATE, fd, (uint64_t)length);
    return __real_ftruncate(fd, length);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    if (is_traced_folder(from)) {
        struct op *op = add_op(OP_RENAME);

        snprintf(op->name, sizeof op->name, "%s", old);
        snprintf(op->to, sizeof op->to, "%s", is_traced_folder(to) ? new : "");
    }
    return __real_renameat(from, old, to, new);
}

int __wrap_unlinkat(int folder, const char *name, int flags)
{
    if (is_traced_folder(folder))
        snprintf(add_op(OP_UNLINK)->name, SEGMENT_NAME_BYTES, "%s", name);
    return __real_unlinkat(folder, name, flags);
}

/* ---- the run that is traced ---- */

static void append_batch(struct spool_writer *writer, int count, size_t length)
{
    struct segment_record records[8];
    struct err err = {""};

    for (int i = 0; i < count; i++) {
        records[i] = rig_event(length + (size_t)i);
        memcpy(add_op(OP_SENT)->id, records[i].id, UUID_BYTES);
    }
    must_be(spool_writer_append(writer, records, (size_t)count, &err) == RESULT_OK, err.text);
    for (int i = 0; i < count; i++)
        memcpy(add_op(OP_ACK)->id, records[i].id, UUID_BYTES);
}

static const struct rig *run_rig;

/* A writer that ends in good order, one segment after the other. */
static int write_and_seal(void *context)
{
    struct spool_writer_limits limits = spool_writer_defaults;
    struct spool_writer *writer;

    (void)context;
    limits.segment_bytes = 12000;
    limits.min_free = 0;
    writer = spool_writer_new(run_rig->folder, &limits);
    for (int i = 0; i < 6; i++)
        append_batch(writer, 1 + i % 4, 700 + 900u * (unsigned)i);
    spool_writer_free(writer);
    return 0;
}

/* A writer that dies between two batches. */
static int write_and_die(void *context)
{
    struct spool_writer *writer = spool_writer_new(run_rig->folder, &spool_writer_defaults);

    (void)context;
    append_batch(writer, 3, 100);
    append_batch(writer, 1, 5000);
    append_batch(writer, 5, 400);
    _exit(0);
}

static void note_commit(void)
{
    struct op *op = add_op(OP_COMMIT);

    op->ids = recorded.id_count;
    op->positions = recorded.position_count;
    op->data = add_data(recorded.positions, recorded.position_count * sizeof *recorded.positions);
}

/* The reader records all that is there, in small batches. */
static void record_all(const struct rig *rig)
{
    struct spool_reader *reader = spool_reader_new(rig->folder, 0, rig_position, &recorded);
    const struct spool_batch *batch;
    const uint8_t(*forget)[UUID_BYTES];
    size_t forget_count;

    while ((batch = rig_next(reader, 4, 1 << 20)) != NULL && batch->position_count > 0) {
        rig_record(&recorded, batch);
        note_commit();
        spool_reader_done(reader, &forget, &forget_count);
    }
    spool_reader_free(reader);
}

static void run_traced(const struct rig *rig)
{
    run_rig = rig;
    trace->folder = rig->folder;
    trace->on = true;
    must_be(rig_run(write_and_seal, NULL) == 0, "the first writer");
    must_be(rig_run(write_and_die, NULL) == 0, "the second writer");
    record_all(rig);
    must_be(rig_run(write_and_die, NULL) == 0, "the third writer");
    must_be(rig_run(write_and_seal, NULL) == 0, "the fourth writer");
    record_all(rig);
    trace->on = false;
}

/* ---- what a power cut leaves ---- */

static unsigned random_state;

static unsigned next_random(void)
{
    random_state = random_state * 1103515245u + 12345u;
    return random_state >> 16 & 0x7fff;
}

/* Whether something that was not synced is there, in this variant. */
static bool survives(int variant)
{
    return variant == 1 || (variant > 1 && next_random() % 2 == 0);
}

struct disk_file {
    uint8_t bytes[FILE_BYTES];
    size_t size;
    char name[SEGMENT_NAME_BYTES]; /* "": it has none (any more) */
};

static struct disk_file *disk;

/* Writes what survives of a write: the blocks one by one. */
static void apply_write(struct disk_file *file, const struct op *op, int variant)
{
    must_be(op->offset + op->length <= FILE_BYTES, "a larger file than the model holds");
    for (size_t at = 0, step; at < op->length; at += step) {
        size_t offset = op->offset + at;

        step = BLOCK - offset % BLOCK;
        if (step > op->length - at)
            step = op->length - at;
        if (!survives(variant))
            continue;
        memcpy(file->bytes + offset, trace->data + op->data + at, step);
        if (offset + step > file->size)
            file->size = offset + step;
    }
}

static void apply_file_op(const struct op *op, int variant)
{
    struct disk_file *file = &disk[op->file];

    if (op->kind == OP_WRITE) {
        apply_write(file, op, variant);
    } else if (survives(variant)) {
        memset(file->bytes + op->offset, 0, FILE_BYTES - op->offset);
        file->size = op->offset;
    }
}

static struct disk_file *find_file(const char *name)
{
    for (int i = 0; i < trace->file_count; i++)
        if (strcmp(disk[i].name, name) == 0)
            return &disk[i];
    return NULL;
}

static void apply_folder_op(const struct op *op)
{
    struct disk_file *file = op->kind == OP_CREATE ? &disk[op->file] : find_file(op->name);

    if (file != NULL)
        snprintf(file->name, sizeof file->name, "%s",
                 op->kind == OP_CREATE   ? op->name
                 : op->kind == OP_RENAME ? op->to
                                         : "");
}

static bool is_folder_op(const struct op *op)
{
    return op->kind == OP_CREATE || op->kind == OP_RENAME || op->kind == OP_UNLINK;
}

/* Whether op INDEX is durable at the end of the PREFIX: a sync of its file, or of the folder, follows it. */
static bool is_synced(size_t index, size_t prefix)
{
    const struct op *op = &trace->ops[index];

    for (size_t i = index + 1; i < prefix; i++) {
        const struct op *later = &trace->ops[i];

        if (is_folder_op(op) ? later->kind == OP_SYNC_FOLDER : later->kind == OP_SYNC && later->file == op->file)
            return true;
    }
    return false;
}

/* Makes DISK what a power cut after the first PREFIX ops may leave. */
static void crash(size_t prefix, int variant)
{
    bool entries_survive = true;

    memset(disk, 0, FILES * sizeof *disk);
    for (size_t i = 0; i < prefix; i++) {
        const struct op *op = &trace->ops[i];
        bool synced = is_synced(i, prefix);

        if (is_folder_op(op)) {
            entries_survive = entries_survive && (synced || survives(variant));
            if (entries_survive)
                apply_folder_op(op);
        } else if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE) {
            apply_file_op(op, synced ? 1 : variant);
        }
    }
}

/* ---- the reader afterwards ---- */

static const struct op *last_commit(size_t prefix)
{
    while (prefix-- > 0)
        if (trace->ops[prefix].kind == OP_COMMIT)
            return &trace->ops[prefix];
    return NULL;
}

static void restore_database(struct rig_database *database, size_t prefix)
{
    const struct op *commit = last_commit(prefix);

    memset(database, 0, sizeof *database);
    if (commit == NULL)
        return;
    database->id_count = database->id_room = commit->ids;
    database->ids = malloc(commit->ids * sizeof *database->ids);
    must_be(database->ids != NULL, "malloc");
    memcpy(database->ids, recorded.ids, commit->ids * sizeof *database->ids);
    database->position_count = commit->positions;
    memcpy(database->positions, trace->data + commit->data, commit->positions * sizeof *database->positions);
}

static void write_disk(const struct rig *rig)
{
    for (int i = 0; i < trace->file_count; i++)
        if (disk[i].name[0] != '\0')
            rig_write(rig, disk[i].name, disk[i].bytes, disk[i].size);
}

/* Whether the database holds every acknowledged event of the prefix, and none that was not sent. */
static bool keeps_promise(const struct rig_database *database, size_t prefix, const char **why)
{
    size_t sent = 0;

    for (size_t i = 0; i < prefix; i++) {
        const struct op *op = &trace->ops[i];

        sent += op->kind == OP_SENT && rig_has(database, op->id);
        if (op->kind == OP_ACK && !rig_has(database, op->id)) {
            *why = "an acknowledged event is lost";
            return false;
        }
    }
    *why = sent != database->id_count ? "something else is recorded" : "a body is broken";
    return sent == database->id_count && database->broken == 0;
}

static bool survives_crash(size_t prefix, int variant)
{
    struct rig_database *database = malloc(sizeof *database);
    struct rig rig;
    const char *why = "the reader fails";
    bool fine;

    must_be(database != NULL, "malloc");
    random_state = (unsigned)prefix * 31u + (unsigned)variant;
    crash(prefix, variant);
    rig_open(&rig);
    write_disk(&rig);
    restore_database(database, prefix);
    fine = rig_drain_once(&rig, database) >= 0 && keeps_promise(database, prefix, &why) &&
           rig_count(&rig, ".", ".seg") == 0;
    if (!fine)
        printf("# after %zu ops, variant %d: %s\n", prefix, variant, why);
    rig_database_free(database);
    free(database);
    rig_close(&rig);
    return fine;
}

int main(void)
{
    struct rig rig;
    size_t crashes = 0, bad = 0;

    trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must_be(trace != MAP_FAILED, "mmap");
    disk = calloc(FILES, sizeof *disk);
    must_be(disk != NULL, "calloc");
    rig_open(&rig);
    run_traced(&rig);
    ok(rig_is_empty(&rig) && recorded.id_count > 40, "the run itself: %zu events recorded, %zu ops", recorded.id_count,
       trace->op_count);
    rig_close(&rig);
    for (size_t prefix = 0; prefix <= trace->op_count; prefix++) {
        const enum op_kind kind = prefix > 0 ? trace->ops[prefix - 1].kind : OP_ACK;

        if (kind == OP_SENT)
            continue; /* changes nothing on the disk */
        for (int variant = 0; variant < VARIANTS; variant++, crashes++)
            bad += !survives_crash(prefix, variant);
    }
    ok(bad == 0, "%zu power cuts: every acknowledged event is recorded, once, and nothing else", crashes);
    rig_forget_bodies();
    rig_database_free(&recorded);
    free(disk);
    return done();
}
