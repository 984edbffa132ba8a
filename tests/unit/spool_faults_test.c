/*
 * SPDX-License-Identifier: ISC
 *
 * The writing side of the spool when things go wrong: every step of it fails, is the last one before kill -9, or has a
 * reader before it.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spool_fakes.h"
#include "spool_rig.h"
#include "tap.h"

/* ---- every step fails ---- */

#define ROUND 6 /* appends: births, appends to an open segment, and a seal by size */

/* Appends until the end, counting what was acknowledged. Returns how many were refused. */
static int appends(struct spool_writer *writer, uint8_t (*ids)[UUID_BYTES], int *acknowledged, int tell)
{
    int refused = 0;

    *acknowledged = 0;
    for (int i = 0; i < ROUND; i++) {
        enum result result = fake_append_one(writer, 200, ids[*acknowledged]);

        refused += result == RESULT_RETRY;
        *acknowledged += result == RESULT_OK;
        if (result == RESULT_OK && tell >= 0 && write(tell, ids[*acknowledged - 1], UUID_BYTES) != UUID_BYTES)
            _exit(98);
    }
    return refused;
}

/* Returns 0 when the round has fewer steps. */
static int fail_at(int at, enum fault fault)
{
    const char *when = fault == FAIL_BEFORE ? "is not done" : "is done and fails";
    uint8_t ids[ROUND][UUID_BYTES];
    struct spool_writer *writer;
    int acknowledged, refused, steps;
    char failed[40] = "";
    struct rig rig;

    rig_open(&rig);
    fake.fault = fault;
    fake.at = at;
    writer = spool_writer_new(rig.folder, &fake_limits_small);
    refused = appends(writer, ids, &acknowledged, -1);
    fake_end(writer);
    steps = fake.steps;
    if (steps >= at) {
        const char *name = fake.log;

        for (int i = 1; i < at; i++)
            name = strchr(name, ' ') + 1;
        snprintf(failed, sizeof failed, "%.*s", (int)strcspn(name, " "), name);
        ok(refused == !fake.in_seal && acknowledged == ROUND - refused, "step %d (%s) %s: %s, and all others work", at,
           failed, when, fake.in_seal ? "no harm" : "one RETRY");
        ok(!fake.touched, "step %d (%s) %s: the segment is not touched again", at, failed, when);
        fake.at = 0;
        ok(rig_count(&rig, ".", ".new") <= (strcmp(failed, "openat") == 0) && fake_all_there(&rig, ids, acknowledged),
           "step %d (%s) %s: what was acknowledged is there, nothing is left behind", at, failed, when);
    }
    rig_close(&rig);
    fake_reset();
    return steps >= at;
}

static void test_failures(void)
{
    int steps = 0;

    while (fail_at(steps + 1, FAIL_BEFORE))
        steps++;
    ok(steps > 25, "there were enough steps");
    for (int at = 1; at <= steps; at++)
        fail_at(at, FAIL_AFTER);
}

/* ---- every error, passing and lasting, at every step ---- */

static int is_one_of(const uint8_t id[UUID_BYTES], uint8_t (*ids)[UUID_BYTES], int count)
{
    for (int i = 0; i < count; i++)
        if (memcmp(id, ids[i], UUID_BYTES) == 0)
            return 1;
    return 0;
}

/* Whether the spool gives all that was acknowledged, each once, whole, and what was only sent at most once. */
static int is_exact(const struct rig *rig, uint8_t (*sent)[UUID_BYTES], const int *acknowledged, int count)
{
    struct rig_database database = {0};
    int fine = rig_drain_once(rig, &database) >= 0 && database.broken == 0 && database.again == 0;

    for (int i = 0; i < count; i++)
        fine &= !acknowledged[i] || rig_has(&database, sent[i]);
    for (size_t i = 0; i < database.id_count; i++)
        fine &= is_one_of(database.ids[i], sent, count);
    rig_database_free(&database);
    return fine;
}

/* Returns 0 when the appends have fewer steps. */
static int hit_by_error(int at, enum fault fault, int error, int lasts)
{
    uint8_t sent[ROUND + 2][UUID_BYTES];
    int acknowledged[ROUND + 2], refused = 0, steps, recovered;
    struct spool_writer *writer;
    struct rig rig;

    rig_open(&rig);
    fake.fault = fault;
    fake.at = at;
    fake.error = error;
    fake.lasts = lasts;
    writer = spool_writer_new(rig.folder, &fake_limits_small);
    for (int i = 0; i < ROUND; i++) {
        fake.log[0] = '\0';
        acknowledged[i] = fake_append_one(writer, 200, sent[i]) == RESULT_OK;
        refused += !acknowledged[i];
    }
    steps = fake.steps;
    fake.at = 0;
    for (int i = ROUND; i < ROUND + 2; i++)
        acknowledged[i] = fake_append_one(writer, 200, sent[i]) == RESULT_OK;
    recovered = acknowledged[ROUND] && acknowledged[ROUND + 1];
    fake_end(writer);
    if (steps >= at)
        ok(recovered && (lasts || refused <= 1) && is_exact(&rig, sent, acknowledged, ROUND + 2),
           "%s from step %d on%s, %s: %d refused, the writer recovers, nothing is lost or doubled",
           strerrorname_np(error), at, lasts ? "" : ", once", fault == FAIL_BEFORE ? "not done" : "done all the same",
           refused);
    rig_close(&rig);
    fake_reset();
    return steps >= at;
}

static void test_errors(void)
{
    static const int errors[] = {EINTR, ENOSPC, EDQUOT, EIO, EMFILE, ENOMEM};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        for (int at = 1; hit_by_error(at, FAIL_BEFORE, errors[i], 0); at++) {
            hit_by_error(at, FAIL_AFTER, errors[i], 0);
            hit_by_error(at, FAIL_BEFORE, errors[i], 1);
            hit_by_error(at, FAIL_AFTER, errors[i], 1);
        }
}

/* Each write does half of what it should, for so many writes. */
static void test_short_writes_last(void)
{
    for (int writes = 1; writes <= 20; writes++) {
        uint8_t sent[ROUND + 2][UUID_BYTES];
        int acknowledged[ROUND + 2];
        struct spool_writer *writer;
        struct rig rig;

        rig_open(&rig);
        writer = spool_writer_new(rig.folder, &fake_limits_small);
        fake.short_writes = writes;
        for (int i = 0; i < ROUND; i++)
            acknowledged[i] = fake_append_one(writer, 200, sent[i]) == RESULT_OK;
        fake.short_writes = 0;
        for (int i = ROUND; i < ROUND + 2; i++)
            acknowledged[i] = fake_append_one(writer, 200, sent[i]) == RESULT_OK;
        fake_end(writer);
        ok(acknowledged[ROUND] && acknowledged[ROUND + 1] && is_exact(&rig, sent, acknowledged, ROUND + 2),
           "%d short writes: the writer recovers, nothing is lost or doubled", writes);
        rig_close(&rig);
        fake_reset();
    }
}

/* ---- kill -9, and a power cut, at every step ---- */

struct victim {
    const struct rig *rig;
    int acks[2];
};

static int append_and_tell(void *context)
{
    struct victim *victim = context;
    struct spool_writer *writer = spool_writer_new(victim->rig->folder, &fake_limits_small);
    uint8_t ids[ROUND][UUID_BYTES];
    int acknowledged;

    appends(writer, ids, &acknowledged, victim->acks[1]);
    fake_end(writer);
    return 0;
}

static int kill_at(int at, enum fault fault, int power_cut)
{
    uint8_t ids[ROUND][UUID_BYTES];
    struct victim victim;
    int acknowledged = 0, status;
    struct rig rig;

    rig_open(&rig);
    victim.rig = &rig;
    if (pipe(victim.acks) != 0)
        exit(99);
    fake.fault = fault;
    fake.at = at;
    fake.power_cut = power_cut;
    status = rig_run(append_and_tell, &victim);
    close(victim.acks[1]);
    while (acknowledged < ROUND && read(victim.acks[0], ids[acknowledged], UUID_BYTES) == UUID_BYTES)
        acknowledged++;
    close(victim.acks[0]);
    fake_reset();
    if (status != 0)
        ok(status == 128 + SIGKILL && fake_all_there(&rig, ids, acknowledged),
           "%s %s step %d: all %d acknowledged are there", power_cut ? "a power cut" : "killed",
           fault == KILL_BEFORE ? "before" : "after", at, acknowledged);
    rig_close(&rig);
    return status != 0;
}

static void test_kills(int power_cut)
{
    int steps = 0;

    while (kill_at(steps + 1, KILL_BEFORE, power_cut))
        steps++;
    ok(steps > 25, "there were enough steps");
    for (int at = 1; at <= steps; at++)
        kill_at(at, KILL_AFTER, power_cut);
}

/* ---- a reader at every step ---- */

static const struct rig *read_rig;
static int readers, readers_failed;

static int read_all(void *context)
{
    struct rig_database database = {0};

    (void)context;
    return rig_drain_once(read_rig, &database) < 0 || database.broken || database.damages;
}

static void run_reader(void)
{
    readers++;
    readers_failed += rig_run(read_all, NULL) != 0;
}

static void test_readers(void)
{
    uint8_t ids[ROUND][UUID_BYTES];
    struct spool_writer *writer;
    int acknowledged;
    struct rig rig;

    rig_open(&rig);
    read_rig = &rig;
    fake.before = run_reader;
    writer = spool_writer_new(rig.folder, &fake_limits_roomy);
    ok(appends(writer, ids, &acknowledged, -1) == 0, "appends work while a reader runs before every step");
    run_reader();
    ok(readers > 20 && readers_failed == 0, "%d readers found nothing amiss", readers);
    ok(rig_count(&rig, ".", ".seg") == 1, "and left the living segment alone");
    fake.before = NULL;
    fake_end(writer);
    ok(fake_all_there(&rig, ids, acknowledged), "so that all that was acknowledged is read");
    rig_close(&rig);
    fake_reset();
}

int main(void)
{
    test_failures();
    test_errors();
    test_short_writes_last();
    test_kills(0);
    test_kills(1);
    test_readers();
    rig_forget_bodies();
    return done();
}
