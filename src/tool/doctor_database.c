/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: the database, its rights, its handlers, and whether work goes on.
 */
#include <config.h>

#include "base/clock.h"
#include "tool/doctor.h"
#include "work/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOCKS_NOTE_MS 2000
#define CLOCKS_WRONG_MS 60000
#define START_WAIT_MS 3000 /* a helper starts a worker within this time */

static bool fact_is(const struct store_fact *fact, const char *area)
{
    return strcmp(fact->area, area) == 0;
}

/* Returns the value of an item that is always there, once. */
static const char *diagnosed_value(const struct doctor *doctor, const char *item)
{
    for (size_t i = 0; i < doctor->facts.count; i++)
        if (fact_is(&doctor->facts.facts[i], item))
            return doctor->facts.facts[i].value;
    return "";
}

/* ---- the database ---- */

static void check_database_clock(struct doctor *doctor, int64_t before, int64_t after)
{
    int64_t theirs = strtoll(diagnosed_value(doctor, "clock"), NULL, 10);
    int64_t apart = theirs < before ? before - theirs : theirs > after ? theirs - after : 0;
    char text[32];

    if (apart > CLOCKS_WRONG_MS)
        doctor_wrong(doctor, "clock",
                     "the clocks of this machine and of the database's are %s apart: times of receipt and of attempts "
                     "do not fit. Run a time service (NTP) on both",
                     inspect_age((long)(apart / 1000), text));
    else if (apart > CLOCKS_NOTE_MS)
        doctor_note(doctor, "clock", "the clocks of this machine and of the database's are %s apart",
                    inspect_age((long)(apart / 1000), text));
    else
        doctor_ok(doctor, "clock", "this machine and the database agree");
}

static void check_database_rights(struct doctor *doctor)
{
    const char *user = diagnosed_value(doctor, "user");
    char missing[400] = "";
    size_t count = 0;

    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (fact_is(fact, "right") && count++ == 0)
            snprintf(missing, sizeof missing, "%s", fact->name);
    }
    if (count > 0)
        doctor_wrong(doctor, "rights",
                     "the user %s may not call %s%s, so no worker can work: grant candhook_worker to \"%s\"", user,
                     missing, count > 1 ? " and others" : "", user);
    else
        doctor_ok(doctor, "rights", "the user %s may do what a worker does", user);
    if (strcmp(diagnosed_value(doctor, "superuser"), "true") == 0)
        doctor_note(doctor, "rights",
                    "the user %s is a superuser; a user of its own with the role candhook_worker is safer", user);
    if (strcmp(diagnosed_value(doctor, "readonly"), "true") == 0)
        doctor_wrong(doctor, "database",
                     "it is read-only (a standby?): name the primary in `database`, or several hosts "
                     "with target_session_attrs=read-write");
    if (strcmp(diagnosed_value(doctor, "encoding"), "UTF8") != 0)
        doctor_wrong(doctor, "database", "its encoding is %s: make one in UTF8", diagnosed_value(doctor, "encoding"));
}

static void check_partition_facts(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (fact_is(fact, "partition"))
            doctor_wrong(doctor, "partitions",
                         "table %s: %s. The worker mends it within the hour; at once: select "
                         "candhook_internal.maintain()",
                         fact->name, fact->value);
    }
}

static void check_handler_file(struct doctor *doctor, const struct store_fact *fact)
{
    const char *target = strchr(fact->value, ' ') + 1;
    char name[300], *path = NULL;
    struct err err;

    snprintf(name, sizeof name, "%s", target);
    if (strncmp(fact->value, "c ", 2) == 0)
        name[strcspn(name, ":")] = '\0';
    if (child_find(doctor->conf->handler_dir, name, &path, &err) != RESULT_OK)
        doctor_wrong(doctor, "handlers", "%s: %s", fact->name, err.text);
    else if (strncmp(fact->value, "exec ", 5) == 0 && access(path, X_OK) != 0)
        doctor_wrong(doctor, "handlers", "%s: %s is not executable: chmod +x it", fact->name, path);
    free(path);
}

static void check_handler_facts(struct doctor *doctor)
{
    unsigned before = doctor->wrong;

    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (fact_is(fact, "sql"))
            doctor_wrong(doctor, "handlers", "%s: %s", fact->name, fact->value);
        else if (fact_is(fact, "file"))
            check_handler_file(doctor, fact);
    }
    if (doctor->wrong == before)
        doctor_ok(doctor, "handlers", "their functions and programs exist and may run");
}

static void check_database_schema(struct doctor *doctor)
{
    struct err err;
    int64_t before = clock_real_ms();

    if (store_diagnose(doctor->store, &doctor->facts, &err) != RESULT_OK) {
        doctor_wrong(doctor, "rights",
                     "%s: grant candhook_worker to the user that `database` names, or run candhook init again",
                     err.text);
        return;
    }
    check_database_clock(doctor, before, clock_real_ms());
    check_database_rights(doctor);
    check_partition_facts(doctor);
    check_handler_facts(doctor);
}

void doctor_check_database(struct doctor *doctor)
{
    struct store *store = store_new(doctor->conf->database);
    struct err err;

    if (store_connect(store, false, &err) != RESULT_OK) {
        doctor_wrong(doctor, "database",
                     "%s. Events wait in the spool meanwhile. Is the server up, and is `database` right?", err.text);
    } else if (store_check_version(store, &err) != RESULT_OK) {
        doctor_wrong(doctor, "schema", "%s", err.text);
    } else {
        doctor_ok(doctor, "database", "reachable, schema version %d", STORE_VERSION);
        doctor->store = store;
        check_database_schema(doctor);
        return;
    }
    store_free(store);
}

/* ---- whether work goes on ---- */

/* A helper may be starting a worker just now, so this waits a moment for it. */
static void check_worker_runs(struct doctor *doctor)
{
    struct inspection *spool = &doctor->spool;
    struct err err;

    for (int waited = 0;
         spool->worker == 0 && spool->answers.responders > 0 && !spool->stopped && waited < START_WAIT_MS;
         waited += 100) {
        usleep(100000);
        inspect_close(spool);
        if (inspect_spool(spool, doctor->conf, NULL, &err) != RESULT_OK)
            return;
    }
    if (spool->stopped)
        doctor_wrong(doctor, "worker", "a person ran candhook stop, and nothing is recorded since: run candhook work");
    else if (spool->worker > 0)
        doctor_ok(doctor, "worker", "process %d", (int)spool->worker);
    else if (spool->worker < 0)
        doctor_note(doctor, "worker", "one runs where its process cannot be seen from here (another container?)");
    else if (spool->answers.responders > 0)
        doctor_wrong(doctor, "worker",
                     "none runs, though a responder does (process %d): the log (%s) says why none starts, or run "
                     "candhook work and see",
                     (int)spool->answers.pid, doctor->conf->log);
    else
        doctor_note(doctor, "worker",
                    "neither a worker nor a responder runs now. That is right on plain CGI hosting, where each event "
                    "starts a worker for a moment; a retry, or a delivery that is held for a token, then waits for the "
                    "next event or for cron: */5 * * * * CANDHOOK_CONF=%s %s work --once",
                    doctor->conf->path, doctor->conf->worker_program);
}

static void check_work_backlog(struct doctor *doctor, const struct store_facts *facts)
{
    struct inspect_backlog backlog = inspect_judge(&doctor->spool, facts);
    char age[32];

    if (backlog.recording_stalled)
        doctor_wrong(doctor, "backlog",
                     "%zu events are not recorded, the oldest for %s: no worker runs, or the database refuses; the log "
                     "(%s) says which",
                     doctor->spool.depth.events, inspect_age(backlog.unrecorded_s, age), doctor->conf->log);
    if (backlog.handling_stalled)
        doctor_wrong(
            doctor, "backlog",
            "a delivery could have run for %s: no worker runs, or more runners are needed (setting `runners`); "
            "select * from candhook.due",
            inspect_age(backlog.due_s, age));
    if (!backlog.recording_stalled && !backlog.handling_stalled)
        doctor_ok(doctor, "backlog", "%zu events not recorded yet, %ld deliveries due", doctor->spool.depth.events,
                  facts != NULL ? inspect_number(facts, "deliveries", "due") : 0);
}

/* Notes from the outcomes of the last day. */
static void report_recent_outcome(struct doctor *doctor, const struct store_fact *fact)
{
    const char *count = fact->value, *name = fact->name;

    if (fact_is(fact, "malformed"))
        doctor_note(doctor, "malformed", "%s bodies of the last day were no events: select * from candhook.malformed",
                    count);
    else if (fact_is(fact, "failed"))
        doctor_note(doctor, "failed",
                    "handler %s failed %s times for good in the last day: select * from candhook.failed", name, count);
    else if (fact_is(fact, "unhandled"))
        doctor_note(doctor, "unhandled", "%s events %s of the last day: select * from candhook.unhandled_types", count,
                    name);
    else if (fact_is(fact, "token"))
        doctor_note(doctor, "held", "%s deliveries wait for a bot token of %s: candhook token set", count,
                    *name != '\0' ? name : "a community that their events do not name");
    else if (fact_is(fact, "paused"))
        doctor_note(doctor, "paused", "%s deliveries wait for the handler %s, which is disabled", count, name);
}

void doctor_check_work(struct doctor *doctor)
{
    struct store_facts facts = {.count = 0};
    const struct store_facts *known = doctor->store != NULL ? &facts : NULL;
    struct err err;

    if (!doctor->has_spool)
        return;
    check_worker_runs(doctor);
    if (doctor->store != NULL && store_status(doctor->store, &facts, &err) != RESULT_OK) {
        doctor_wrong(doctor, "rights", "%s: run candhook init again", err.text);
        return;
    }
    inspect_close(&doctor->spool);
    if (inspect_spool(&doctor->spool, doctor->conf, known, &err) == RESULT_OK)
        check_work_backlog(doctor, known);
    store_free_facts(&facts);
    for (size_t i = 0; i < doctor->facts.count; i++)
        report_recent_outcome(doctor, &doctor->facts.facts[i]);
}
