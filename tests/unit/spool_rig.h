/*
 * SPDX-License-Identifier: ISC
 *
 * What the tests of the spool share: a folder of their own, events whose bodies can be told from their ids, segments
 * made by hand, child processes, and a stand-in for the database that keeps positions and recorded ids.
 *
 * A lock does not hold against its own process, so a writer that a reader is to find alive lives in a child.
 */
#ifndef CANDHOOK_SPOOL_RIG_H
#define CANDHOOK_SPOOL_RIG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "spool/segment.h"
#include "spool/spool.h"

struct rig {
    char top[128];  /* a folder of our own, */
    char path[160]; /* and the spool in it */
    int folder;     /* the spool, opened */
};

/* Makes a spool of its own; dies when it cannot. */
void rig_open(struct rig *rig);

/* Removes it. */
void rig_close(struct rig *rig);

/* How many entries of the folder SUB ("." for the spool itself) end in SUFFIX. */
int rig_count(const struct rig *rig, const char *sub, const char *suffix);

/* Gives the name, with SUB before it, of the entry INDEX (from 0, in no order) of these. Returns 0 when there is none.
 */
int rig_name(const struct rig *rig, const char *sub, const char *suffix, int index, char name[128]);

/* Whether no segment is left. */
int rig_is_empty(const struct rig *rig);

/* Makes a file of the spool as old as that. */
void rig_set_age(const struct rig *rig, const char *name, long seconds);

/* Reads a whole file of the spool. The caller frees. NULL when it is not there. */
uint8_t *rig_read(const struct rig *rig, const char *name, size_t *length);

/* Writes a whole file of the spool. */
void rig_write(const struct rig *rig, const char *name, const uint8_t *bytes, size_t length);

/* An event with a new id, and a body of LENGTH bytes that follow from the id. The body is freed with rig_forget_bodies.
 */
struct segment_record rig_event(size_t length);
void rig_forget_bodies(void);

/* Whether the body is the one that rig_event made for the id. */
int rig_is_intact(const struct segment_record *record);

/* A segment in memory: header, then records as they are put. */
struct rig_segment {
    uint8_t id[UUID_BYTES];
    uint8_t *bytes;
    size_t length;
    size_t offsets[16]; /* of the first records */
    size_t count;
};

void rig_segment_new(struct rig_segment *segment);
void rig_segment_put(struct rig_segment *segment, const struct segment_record *record);
void rig_segment_seal(struct rig_segment *segment);
void rig_segment_free(struct rig_segment *segment);

/* The same with COUNT events of LENGTH bytes. */
void rig_segment_make(struct rig_segment *segment, int count, size_t length);

/* Writes the first LENGTH bytes as <uuid>.seg of a dead writer. */
void rig_segment_save(const struct rig *rig, const struct rig_segment *segment, size_t length);

/* Runs WORK in a child that ends with its result. RIG_WAIT gives that result, or 128 + the signal. */
pid_t rig_start(int (*work)(void *context), void *context);
int rig_wait(pid_t child);
int rig_run(int (*work)(void *context), void *context);

/* Reads or writes exactly one byte of a pipe; die when that fails. */
void rig_tell(int fd);
void rig_hear(int fd);

/* ---- the stand-in for the database ---- */

struct rig_database {
    struct spool_position positions[4096];
    size_t position_count;
    uint8_t (*ids)[UUID_BYTES]; /* in the order of recording, each once */
    size_t id_count, id_room;
    size_t again;  /* records that were there already */
    size_t broken; /* bodies that are not what the id wants */
    size_t damages, torn, forgotten;
    struct spool_damage damage; /* the last one */
    enum result answer;         /* of the position callback */
    int asked;
};

void rig_database_free(struct rig_database *database);

/* The callback for spool_reader_new, with the database as its context. */
spool_position_fn rig_position;

/* Commits the batch: the records, and then the positions. */
void rig_record(struct rig_database *database, const struct spool_batch *batch);

int rig_has(const struct rig_database *database, const uint8_t id[UUID_BYTES]);

/*
 * Whether it has just these records of the segment, by a string of 1 and 0 for its first ones, and all that ever came
 * was intact.
 */
int rig_has_just(const struct rig_database *database, const struct rig_segment *segment, const char *wanted);

/* spool_reader_next, NULL when it fails: rig_err says why. */
const struct spool_batch *rig_next(struct spool_reader *reader, size_t records, size_t bytes);
extern struct err rig_err;

/* Commits the batch and is done. Returns how many segments are to be forgotten. */
int rig_settle(struct spool_reader *reader, struct rig_database *database, const struct spool_batch *batch);

/* Reads, records and is done until the reader has no more. Returns the number of batches, -1 on an error. */
int rig_drain(struct spool_reader *reader, struct rig_database *database);

/* The same with a reader of its own. */
int rig_drain_once(const struct rig *rig, struct rig_database *database);

#endif
