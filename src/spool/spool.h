/*
 * SPDX-License-Identifier: ISC
 *
 * The spool: a folder of segments between the responders, which append, and the one worker, which reads, records and
 * unlinks. A body is durable from the moment spool_writer_append returns RESULT_OK.
 *
 * The folder has mode 0700 and everything in it 0600, all owned by one user. Segments are named <uuid>.seg; each has
 * one writer, which holds its lock (base/lock.h) while it lives. A segment is created and locked as <uuid>.new, then
 * renamed, and the folder synced, before its first record is acknowledged.
 */
#ifndef CANDHOOK_SPOOL_H
#define CANDHOOK_SPOOL_H

#include "base/err.h"
#include "spool/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Files of the folder beside the segments. */
#define SPOOL_WORKER_LOCK "worker.lock"   /* locked by the one worker while it lives */
#define SPOOL_WORKER_START "worker.start" /* the back-off with which a worker is started (intake/worker_start.c) */
#define SPOOL_WORKER_NEXT "worker.next"   /* locked by the CGI child that waits for the worker to end */
#define SPOOL_ID "id"                     /* the spool's name among all spools: a UUID */
#define SPOOL_STOPPED "stopped"           /* exists while a person wants no worker to be started */

/*
 * Opens the folder, and makes it (0700) when only its parent exists. *FD is close-on-exec; all other functions work
 * relative to it. RESULT_FAIL when it is not a folder, belongs to another user (the message names both users), or is
 * open to others.
 */
MUST_CHECK enum result spool_open(const char *folder, int *fd, struct err *err);

/*
 * Gives the spool's id, and makes one (a file, synced) when it has none. Only the holder of the worker lock calls this.
 * RESULT_RETRY when it can be neither read nor made.
 */
MUST_CHECK enum result spool_get_id(int folder, char id[UUID_TEXT], struct err *err);

/* ---- writing: candhook.fcgi ---- */

struct spool_writer;

struct spool_writer_limits {
    uint64_t segment_bytes; /* a segment that has reached this size is sealed, */
    unsigned age_ms;        /* as is one of this age, */
    unsigned idle_ms;       /* and one that nothing was appended to for this long */
    uint64_t min_free;      /* bytes that must stay free on the file system */
};

extern const struct spool_writer_limits spool_writer_defaults;

/* Makes a writer on the folder FD, which the caller keeps open. No file is made before the first append. */
struct spool_writer *spool_writer_new(int folder, const struct spool_writer_limits *limits);

/*
 * Appends the records and syncs: one write and one fdatasync.
 * RESULT_OK: all of them are durable.
 * RESULT_RETRY: none may be acknowledged (no space, or an error of write or sync: the segment is abandoned, and the
 * next call opens a new one).
 * RESULT_FAIL: a record is beyond the limits of segment.h; nothing was written.
 */
MUST_CHECK enum result spool_writer_append(struct spool_writer *writer, const struct segment_record *records,
                                           size_t count, struct err *err);

/*
 * Seals the segment when it is old or idle enough. Returns the milliseconds until that is due, -1 when no segment is
 * open.
 */
int spool_writer_seal_due(struct spool_writer *writer);

/* Seals the open segment and frees the writer. NULL is fine. */
void spool_writer_free(struct spool_writer *writer);

/* ---- reading: candhook work ---- */

struct spool_reader;

/* How much of a segment is recorded: what the database stores. */
struct spool_position {
    uint8_t segment[UUID_BYTES];
    uint64_t offset; /* in the file, of the first byte that is not recorded yet */
};

/*
 * Bytes of a segment that are not a record. In the middle of it that is bit rot. At its end it is `torn`: mostly the
 * beginning of a batch whose writer was killed, which was never acknowledged. The spool's folder `damaged` holds a
 * copy, named <uuid>.<offset> or <uuid>.<offset>.torn. When no copy could be made, the disk cannot read the segment, or
 * it holds no record at all, the whole <uuid>.seg is moved there once its records are recorded.
 */
struct spool_damage {
    uint8_t segment[UUID_BYTES];
    uint64_t offset;
    uint64_t length;
    bool torn;
};

struct spool_batch {
    struct segment_record *records; /* without the seals */
    size_t count;
    struct spool_position *positions; /* behind this batch: one for each segment that was read on, or ended */
    size_t position_count;
    struct spool_damage *damages; /* each is given once, even when the same records are given again */
    size_t damage_count;
};

/*
 * Gives the offset from which to read a segment; called once for each, when the reader first opens it. 0 (or anything
 * before the first record) for a segment that the database does not know. spool_reader_next returns its failures.
 */
typedef enum result spool_position_fn(void *context, const uint8_t segment[UUID_BYTES], uint64_t *offset,
                                      struct err *err);

/* Makes a reader on FOLDER, which the caller keeps open. KEEP_SEALED_SECONDS 0: recorded segments are removed at once.
 */
struct spool_reader *spool_reader_new(int folder, unsigned keep_sealed_seconds, spool_position_fn *position,
                                      void *context);

/*
 * Gives the next records, oldest segment first, from as many segments as needed: at most MAX_RECORDS and about
 * MAX_BYTES of bodies, but always at least one record when there is one. An empty batch (COUNT and POSITION_COUNT 0)
 * means that all is read. A batch with positions and no records must be recorded like any other. The batch belongs to
 * the reader and is valid until the next call. Until spool_reader_done is called, the same records are given again.
 * Only the position callback's failures are returned; see spool_reader_trouble for others.
 */
MUST_CHECK enum result spool_reader_next(struct spool_reader *reader, size_t max_records, size_t max_bytes,
                                         const struct spool_batch **batch, struct err *err);

/*
 * To be called when the batch and its positions are committed. Removes each segment whose writer is gone and whose
 * records are all recorded, or moves it to `kept` for the reader's KEEP_SEALED_SECONDS. *FORGET lists the removed ones,
 * *FORGET_COUNT of them, for the database to forget; it is the reader's, valid until the next call. A segment that
 * could not be removed is in the positions of the next batch again.
 */
void spool_reader_done(struct spool_reader *reader, const uint8_t (**forget)[UUID_BYTES], size_t *forget_count);

/*
 * Returns the first failure to list the folder, or to read or remove a segment, since the last batch was begun; NULL
 * when there was none. The other segments are read all the same, and this one is tried again with each batch.
 */
const struct err *spool_reader_trouble(const struct spool_reader *reader);

/* Closes the segments and frees the reader. */
void spool_reader_free(struct spool_reader *reader);

#endif
