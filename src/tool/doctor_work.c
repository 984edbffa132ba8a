/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: whether work goes on. The worker, the backlog, and the outcomes of the last day.
 */
#include <config.h>

#include "tool/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START_WAIT_MS 3000 /* a responder starts a missing worker within this time */
#define START_POLL_MS 100

/* Returns whether a worker is missing that a responder should start. */
static bool awaits_worker(const struct inspection *spool)
{
    return spool->worker == 0 && spool->answers.processes > 0 && !spool->stopped;
}

/* Gives a responder the time to start a worker. RESULT_FAIL when the spool cannot be read any more. */
static enum result wait_for_worker(struct doctor *doctor, struct err *err)
{
    for (int waited = 0; awaits_worker(&doctor->spool) && waited < START_WAIT_MS; waited += START_POLL_MS) {
        usleep(START_POLL_MS * 1000);
        inspect_close(&doctor->spool);
        if (inspect_spool(&doctor->spool, doctor->conf, NULL, err) != RESULT_OK)
            return RESULT_FAIL;
    }
    return RESULT_OK;
}

static void check_worker(struct doctor *doctor)
{
    const struct inspection *spool = &doctor->spool;
    struct err err;

    if (wait_for_worker(doctor, &err) != RESULT_OK)
        doctor_wrong(doctor, "spool", "%s", err.text);
    else if (spool->stopped)
        doctor_wrong(doctor, "worker", "a person ran candhook stop, and nothing is recorded since: run candhook work");
    else if (spool->worker > 0)
        doctor_ok(doctor, "worker", "process %d", (int)spool->worker);
    else if (spool->worker < 0)
        doctor_note(doctor, "worker", "one runs where its process cannot be seen from here (another container?)");
    else if (spool->answers.processes > 0)
        doctor_wrong(doctor, "worker",
                     "none runs, though a responder does (process %d): the log (%s) says why none starts, or run "
                     "candhook work and see",
                     (int)spool->answers.pid, doctor->conf->log);
    else
        doctor_note(doctor, "worker",
                    "neither a worker nor a responder runs now. That is right on plain CGI hosting, where each event "
                    "starts a worker for a moment. Retries and deliveries that were held then wait for the next event, "
                    "or for cron: */5 * * * * CANDHOOK_CONF=%s %s work --once",
                    doctor->conf->path, doctor->conf->worker_program);
}

/* Returns the number behind NAME in /proc/PID/status; -1 when it is not there. */
static int process_fact(pid_t pid, const char *name)
{
    char path[64], line[256];
    size_t length = strlen(name);
    int number = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && number < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, length) == 0)
            number = atoi(line + length);
    if (file != NULL)
        fclose(file);
    return number;
}

/* Tells whether the process that answers is confined, as far as others can see it. */
static void check_responder(struct doctor *doctor)
{
    pid_t pid = doctor->spool.answers.pid;
    long landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1); /* asks for the version */
    int privileges, calls;

    if (pid <= 0)
        return;
    privileges = process_fact(pid, "NoNewPrivs:");
    calls = process_fact(pid, "Seccomp:");
    if (!doctor->conf->confine)
        doctor_note(doctor, "responder", "process %d is not confined: the setting `confine` is no", (int)pid);
    else if (privileges != 1 && calls != 2)
        doctor_note(doctor, "responder",
                    "process %d is not confined: it runs since before the setting, or its kernel can "
                    "not do it",
                    (int)pid);
    else
        doctor_ok(doctor, "responder", "process %d is confined: %s%s%s", (int)pid,
                  privileges == 1 ? "no_new_privs" : "", calls == 2 ? ", seccomp" : "",
                  landlock > 0 ? ", and this kernel has Landlock" : "; this kernel has no Landlock");
}

static void check_backlog(struct doctor *doctor, const struct store_facts *status)
{
    struct inspect_backlog backlog = inspect_judge(&doctor->spool, status);
    size_t events = doctor->spool.depth.events;
    char age[32];

    if (backlog.recording_stalled)
        doctor_wrong(doctor, "backlog",
                     "%zu events are not recorded, the oldest for %s: no worker runs, or the database refuses; the log "
                     "(%s) says which",
                     events, inspect_age(backlog.unrecorded_s, age), doctor->conf->log);
    if (backlog.handling_stalled)
        doctor_wrong(doctor, "backlog",
                     "a delivery could have run for %s: no worker runs, or more runners are needed (setting "
                     "`runners`); select * from candhook.due",
                     inspect_age(backlog.due_s, age));
    if (!backlog.recording_stalled && !backlog.handling_stalled)
        doctor_ok(doctor, "backlog", "%zu events not recorded yet, %s%s", events,
                  inspect_has_due(status) ? "the oldest delivery that could run has waited for "
                                          : "no delivery waits that could run",
                  inspect_has_due(status) ? inspect_age(backlog.due_s, age) : "");
}

/* Notes what people may want to know of the last day. AREA is an area of store_diagnose. */
static void note_outcomes(struct doctor *doctor, const char *area, const char *name, const char *count)
{
    if (strcmp(area, "malformed") == 0)
        doctor_note(doctor, "malformed", "%s bodies of the last day were no events: select * from candhook.malformed",
                    count);
    else if (strcmp(area, "failed") == 0)
        doctor_note(doctor, "failed",
                    "handler %s failed %s times for good in the last day: select * from candhook.failed", name, count);
    else if (strcmp(area, "unhandled") == 0)
        doctor_note(doctor, "unhandled", "%s events %s of the last day: select * from candhook.unhandled_types", count,
                    name);
    else if (strcmp(area, "token") == 0)
        doctor_note(doctor, "held", "%s deliveries wait for a bot token of %s: candhook token set", count,
                    *name != '\0' ? name : "a community that their events do not name");
    else if (strcmp(area, "paused") == 0)
        doctor_note(doctor, "paused", "%s deliveries wait for the handler %s, which is disabled", count, name);
}

void doctor_check_work(struct doctor *doctor)
{
    struct store_facts status = {0};
    struct err err;

    if (!doctor->has_spool)
        return;
    check_worker(doctor);
    check_responder(doctor);
    if (doctor->store != NULL && store_status(doctor->store, STORE_STATUS_ONLY, &status, &err) != RESULT_OK) {
        doctor_wrong(doctor, "rights", "%s: run candhook init again", err.text);
        return;
    }
    inspect_close(&doctor->spool);
    if (inspect_spool(&doctor->spool, doctor->conf, doctor->store != NULL ? &status : NULL, &err) == RESULT_OK)
        check_backlog(doctor, &status);
    store_free_facts(&status);
    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        note_outcomes(doctor, fact->area, fact->name, fact->value);
    }
}
