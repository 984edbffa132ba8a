/*
 * SPDX-License-Identifier: ISC
 *
 * The spool: a folder of segments between the responders, which append, and the one worker, which reads, records and
 * unlinks. A body is safe from the moment spool_writer_append says RESULT_OK.
 *
 * The folder is 0700 and everything in it 0600, all owned by one user. Segments are named <uuid>.seg; each has one
 * writer, which holds its lock (lock.h) while it lives. A segment is born locked under <uuid>.new, renamed, and the
 * folder synced, before its first record counts.
 */
#ifndef CANDHOOK_SPOOL_H
#define CANDHOOK_SPOOL_H

#include "base/err.h"
#include "spool/segment.h"

#include <stddef.h>
#include <stdint.h>

/* Files of the folder beside the segments. */
#define SPOOL_WORKER_LOCK "worker.lock"   /* locked by the one worker while it lives */
#define SPOOL_WORKER_START "worker.start" /* the back-off with which a worker is started (helper.c) */
#define SPOOL_WORKER_NEXT "worker.next"   /* locked by the CGI child that waits for the worker to end */
#define SPOOL_STOPPED "stopped"           /* there while a person wants no worker to be started */

/*
 * Opens the folder, making it (0700) when its parent is there. RESULT_FAIL when it is not a folder, belongs to another
 * user (both users named), or others may enter it. *FD is close-on-exec. Everything below works relative to it.
 */
MUST_CHECK enum result spool_open(const char *folder, int *fd, struct err *err);

/* ---- writing: candhook.fcgi ---- */

struct spool_writer;

struct spool_writer_limits {
    uint64_t segment_bytes; /* sealed when larger */
    unsigned age_ms;        /* sealed when older, */
    unsigned idle_ms;       /* or when nothing was appended for so long */
    uint64_t min_free;      /* bytes that must stay free on the file system */
};

extern const struct spool_writer_limits spool_writer_defaults;

/* Makes a writer on the folder FD (borrowed, kept open by the caller). No file is made before the first append. */
struct spool_writer *spool_writer_new(int folder, const struct spool_writer_limits *limits);

/*
 * Appends the records and syncs: one write and one fdatasync. RESULT_OK: all of them are durable. RESULT_RETRY: none is
 * promised (no space, or an error of write or sync: the segment is abandoned, the next call opens a new one).
 * RESULT_FAIL: a record is beyond the limits of segment.h; nothing was written.
 */
MUST_CHECK enum result spool_writer_append(struct spool_writer *writer, const struct segment_record *records,
                                           size_t count, struct err *err);

/*
 * Seals the segment when its age or idleness asks for it. Returns the milliseconds until it wants to be called again,
 * -1 when no segment is open.
 */
int spool_writer_tend(struct spool_writer *writer);

/* Seals what is open and frees. NULL is fine. */
void spool_writer_free(struct spool_writer *writer);

/* ---- reading: candhook work ---- */

struct spool_reader;

/* Where recording stands in a segment: what the database holds. */
struct spool_place {
    uint8_t segment[UUID_BYTES];
    uint64_t position; /* offset in the file of the first byte not recorded yet */
};

/*
 * A stretch that is no record and is not a torn end: bit rot. The folder `damaged` of the spool holds a copy of it,
 * named <uuid>.<offset>; or, once all else in the segment is recorded, the whole <uuid>.seg, when no copy could be made
 * or no record was found in it.
 */
struct spool_damage {
    uint8_t segment[UUID_BYTES];
    uint64_t offset;
    uint64_t length;
};

struct spool_batch {
    struct segment_record *records; /* seals left out */
    size_t count;
    struct spool_place *places; /* one for each segment that moved or ended, with its position behind this batch */
    size_t place_count;
    struct spool_damage *damages; /* each given once: not again when the same records are */
    size_t damage_count;
    size_t torn; /* dead writers' ends that hold half a record, never acknowledged: left out. Given once, too */
};

/*
 * Asked once for each segment, when it is first seen: from where to read. 0 (or anything before the first record) for
 * one that the database does not know. May fail; spool_reader_next then gives the same result.
 */
typedef enum result spool_position_fn(void *context, const uint8_t segment[UUID_BYTES], uint64_t *position,
                                      struct err *err);

struct spool_reader *spool_reader_new(int folder, unsigned keep_sealed_seconds, spool_position_fn *position,
                                      void *context);

/*
 * Gives the next records, oldest segment first, at most MAX_RECORDS and about MAX_BYTES of bodies (always at least one
 * record when there is one), from as many segments as needed. An empty batch (count and place_count 0) means: all read.
 * A batch without records but with places is to be recorded and done like any other. The batch belongs to the reader
 * and is valid until the next call. Calling it again without spool_reader_done gives the same records again.
 * Any other result than RESULT_OK is the position callback's.
 */
MUST_CHECK enum result spool_reader_next(struct spool_reader *reader, size_t max_records, size_t max_bytes,
                                         const struct spool_batch **batch, struct err *err);

/*
 * The batch is recorded: the reader moves on to its places, and unlinks segments whose writer is gone and whose records
 * are all recorded (kept aside in `kept` for keep_sealed seconds when asked to). Their ids, for the database to forget,
 * are given in *FORGET, *FORGET_COUNT (the reader's, valid until the next call). One that could not be removed will be
 * in the next batch's places again.
 */
void spool_reader_done(struct spool_reader *reader, const uint8_t (**forget)[UUID_BYTES], size_t *forget_count);

/*
 * What of the spool the last batch could not read, or remove, and why: a segment, or the folder. NULL: all was well.
 * The other segments are read all the same, and this one is tried again with each batch.
 */
const struct err *spool_reader_trouble(const struct spool_reader *reader);

void spool_reader_free(struct spool_reader *reader);

#endif
