/*
 * SPDX-License-Identifier: ISC
 *
 * Fakes, at link time, of everything by which the spool's writer touches the disk: each step can fail, be the last one
 * before kill -9, or be preceded by something else. And the writer, called with them.
 */
#ifndef CANDHOOK_SPOOL_FAKES_H
#define CANDHOOK_SPOOL_FAKES_H

#include <stdint.h>

#include "spool/spool.h"
#include "spool_rig.h"

enum fault { NONE, FAIL_BEFORE, FAIL_AFTER, KILL_BEFORE, KILL_AFTER };

struct fake {
    int armed; /* only while the writer runs */
    enum fault fault;
    int at;        /* the step that fails, from 1 */
    int lasts;     /* so do all after it */
    int error;     /* with this errno, 0: EIO */
    int steps;     /* so far */
    int in_seal;   /* the step that failed belongs to a seal */
    int witness;   /* a descriptor of the file whose step failed, -1: none */
    int touched;   /* it was touched again */
    char log[400]; /* the steps' names */
    void (*before)(void);
    int power_cut;    /* KILL_BEFORE and KILL_AFTER lose, too, what was not synced */
    int short_writes; /* so many writes do half of what they should */
    uint64_t free_bytes;
    int64_t later_ms; /* the clock is ahead by so much */
};

extern struct fake fake;
extern struct err fake_err;
extern const struct spool_writer_limits fake_limits_small; /* seals after two or three small events */
extern const struct spool_writer_limits fake_limits_roomy;

void fake_reset(void);

/* The writer's functions, with the fakes armed. FAKE_APPEND_ONE appends an event of LENGTH bytes; *ID is it. */
enum result fake_append(struct spool_writer *writer, const struct segment_record *records, size_t count);
enum result fake_append_one(struct spool_writer *writer, size_t length, uint8_t id[UUID_BYTES]);
int fake_seal_due(struct spool_writer *writer);
void fake_end(struct spool_writer *writer);

/* Drains the spool. Whether everything in it reads well, and these ids are there. */
int fake_all_there(const struct rig *rig, uint8_t (*ids)[UUID_BYTES], int count);

#endif
