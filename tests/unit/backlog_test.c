/*
 * SPDX-License-Identifier: ISC
 *
 * What candhook doctor and the judgement of an installation say of events that have waited for minutes, hours or days,
 * and of workers and responders that cannot be seen, have just ended, or are not confined.
 */
#include <config.h>

#include "base/clock.h"
#include "base/memory.h"
#include "status/installation.h"
#include "tool/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool_rig.h"
#include "tap.h"

static struct rig rig;
static char path[] = "/etc/candhook.conf", log_path[] = "/var/log/candhook.log", worker[] = "/usr/bin/candhook";
static struct conf conf = {.path = path, .log = log_path, .worker_program = worker};

/* What the linker puts in the place of lock_holder answers, when it is not 0. */
static pid_t fake_holder;
static int fake_errno;

pid_t __real_lock_holder(int fd);
pid_t __wrap_lock_holder(int fd);

pid_t __wrap_lock_holder(int fd)
{
    pid_t holder = __real_lock_holder(fd);

    if (fake_holder == 0)
        return holder;
    errno = fake_errno;
    return fake_holder;
}

/* Puts an event into the spool that arrived so many seconds ago. */
static void spool_event(long age)
{
    uint64_t ms = (uint64_t)(clock_real_ms() - 1000 * (int64_t)age);
    struct segment_record record = rig_event(100);
    struct rig_segment segment;

    for (int i = 0; i < 6; i++)
        record.id[i] = (uint8_t)(ms >> (40 - 8 * i));
    rig_segment_new(&segment);
    rig_segment_put(&segment, &record);
    rig_segment_save(&rig, &segment, segment.length);
    rig_segment_free(&segment);
}

/* Has doctor look whether work goes on. The spool is as SEEN, or as it is when that is NULL. */
static void check_work(const struct inspection *seen, unsigned wrong, const char *line, const char *name)
{
    char *report;
    size_t length;
    struct doctor doctor = {.out = memory_open_stream(&report, &length), .conf = &conf, .has_spool = true};
    struct err err;

    if (seen != NULL)
        doctor.spool = *seen;
    else if (inspect_spool(&doctor.spool, &conf, NULL, &err) != RESULT_OK)
        ok(false, "the spool: %s", err.text);
    doctor_check_work(&doctor);
    memory_close_stream(doctor.out);
    if (!ok(doctor.wrong == wrong && strstr(report, line) != NULL, "doctor: %s", name))
        printf("# %u wrong: %s\n", doctor.wrong, report);
    doctor_free(&doctor);
    free(report);
}

static void check_report(unsigned wrong, const char *line, const char *name)
{
    check_work(NULL, wrong, line, name);
}

static void check_reason(const char *reason)
{
    struct installation installation;

    installation_read(&installation, &conf, "host=/nowhere", STORE_STATUS_ONLY);
    if (!ok(installation.reason_count == 2 && strcmp(installation.reasons[0], reason) == 0, "%s", reason))
        printf("# %zu: %s\n", installation.reason_count, installation.reasons[0]);
    is_text(installation_word(&installation), "database unreachable", "without a database");
    installation_free(&installation);
}

static void check_ages(void)
{
    spool_event(0);
    check_report(0, "ok     backlog        1 events not recorded yet, no delivery waits that could run", "a new event");
    spool_event(100);
    check_report(1, "WRONG  backlog        2 events are not recorded, the oldest for 100 s: ", "100 seconds");
    spool_event(6000);
    check_report(1, "the oldest for 100 min", "a hundred minutes");
    check_reason("an event has waited to be recorded for 100 min: candhook doctor looks for the reason");
    spool_event(3 * 3600);
    check_report(1, "the oldest for 3 h", "three hours");
    spool_event(5 * 86400);
    check_report(1, "the oldest for 5 days: no worker runs, or the database refuses; the log (/var/log/candhook.log)",
                 "five days");
    check_reason("an event has waited to be recorded for 5 days: candhook doctor looks for the reason");
}

/* A lock of an open file description belongs to no process, and is seen as one from another pid namespace is. */
static void check_unseen_worker(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(rig.folder, SPOOL_WORKER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    check_report(0, "note   worker         neither a worker nor a responder runs now", "no worker");
    ok(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0, "a lock");
    check_report(0, "note   worker         one runs where its process cannot be seen from here", "one elsewhere");
    close(fd);
}

/* A file system without locks tells of none, and a worker may end while it is looked at. */
static void check_odd_worker(void)
{
    struct inspection spool;
    struct err err;
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    ok(child > 0 && waitpid(child, NULL, 0) == child, "a process that has ended");
    fake_holder = child;
    ok(inspect_spool(&spool, &conf, NULL, &err) == RESULT_OK && spool.worker == child && spool.worker_since == 0,
       "of a worker that has just ended the beginning is not known");
    inspect_close(&spool);
    fake_holder = -1;
    fake_errno = ENOLCK;
    ok(inspect_spool(&spool, &conf, NULL, &err) == RESULT_OK && spool.worker == 0, "without locks no worker is seen");
    inspect_close(&spool);
    fake_holder = 0;
}

/* Runs a process that waits for its end, confined or not; the seccomp of a container is not ours to take away. */
static void check_responder(bool confined)
{
    int ready[2];
    char byte, line[128];
    struct inspection seen = {.folder = -1, .worker = 1};

    if (pipe(ready) != 0)
        abort();
    seen.answers.pid = fork();
    if (seen.answers.pid == 0) {
        if (confined && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
            _exit(1);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    ok(read(ready[0], &byte, 1) == 1, "a process answers");
    conf.confine = true;
    snprintf(line, sizeof line, "process %d is %s", (int)seen.answers.pid,
             confined ? "confined: no_new_privs" : "not confined: it runs since before the setting");
    check_work(&seen, 0, line, confined ? "a responder that is confined" : "one that is not");
    conf.confine = false;
    check_work(&seen, 0, "is not confined: the setting `confine` is no", "as the setting says");
    kill(seen.answers.pid, SIGKILL);
    waitpid(seen.answers.pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

/* The spool goes away while a worker is waited for that a responder should start. */
static void check_lost_spool(void)
{
    const struct inspection seen = {.folder = -1, .answers.processes = 1};
    char nowhere[] = "/nowhere";

    conf.spool = nowhere;
    check_work(&seen, 1, "WRONG  spool          cannot look into the spool /nowhere", "a spool that goes away");
    conf.spool = rig.path;
}

int main(void)
{
    rig_open(&rig);
    conf.spool = rig.path;
    check_unseen_worker();
    check_odd_worker();
    check_responder(true);
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
        check_responder(false);
    check_lost_spool();
    check_ages();
    rig_forget_bodies();
    rig_close(&rig);
    return done();
}
