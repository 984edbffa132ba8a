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
#define RECORDING_SECONDS 60
#define DUE_SECONDS 300
#define START_WAIT_MS 3000 /* so long a helper needs to start a worker */

static int is(const struct store_fact *fact, const char *area)
{
    return strcmp(fact->area, area) == 0;
}

/* The one value of an item that is always there. */
static const char *value_of(const struct doctor *doctor, const char *item)
{
    for (size_t i = 0; i < doctor->facts.count; i++)
        if (is(&doctor->facts.facts[i], item))
            return doctor->facts.facts[i].value;
    return "";
}

/* ---- the database ---- */

static void check_clock(struct doctor *doctor, int64_t before, int64_t after)
{
    int64_t theirs = strtoll(value_of(doctor, "clock"), NULL, 10);
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

static void check_rights(struct doctor *doctor)
{
    const char *user = value_of(doctor, "user");
    char missing[400] = "";
    size_t count = 0;

    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (is(fact, "right") && count++ == 0)
            snprintf(missing, sizeof missing, "%s", fact->name);
    }
    if (count > 0)
        doctor_wrong(doctor, "rights",
                     "the user %s may not call %s%s, so no worker can work: grant candhook_worker to \"%s\"", user,
                     missing, count > 1 ? " and others" : "", user);
    else
        doctor_ok(doctor, "rights", "the user %s may do what a worker does", user);
    if (strcmp(value_of(doctor, "superuser"), "true") == 0)
        doctor_note(doctor, "rights",
                    "the user %s is a superuser; a user of its own with the role candhook_worker is safer", user);
    if (strcmp(value_of(doctor, "readonly"), "true") == 0)
        doctor_wrong(doctor, "database",
                     "it is read-only (a standby?): name the primary in `database`, or several hosts "
                     "with target_session_attrs=read-write");
    if (strcmp(value_of(doctor, "encoding"), "UTF8") != 0)
        doctor_wrong(doctor, "database", "its encoding is %s: make one in UTF8", value_of(doctor, "encoding"));
}

static void check_partitions(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (is(fact, "partition"))
            doctor_wrong(doctor, "partitions",
                         "table %s: %s. The worker sees to it each hour; at once: select "
                         "candhook.maintain()",
                         fact->name, fact->value);
    }
}

static void check_file(struct doctor *doctor, const struct store_fact *fact)
{
    const char *target = strchr(fact->value, ' ') + 1;
    char name[300], *path = NULL;
    struct err err;

    snprintf(name, sizeof name, "%s", target);
    if (strncmp(fact->value, "c ", 2) == 0)
        name[strcspn(name, ":")] = '\0';
    if (child_find(doctor->conf->handler_dir, name, &path, &err) != 0)
        doctor_wrong(doctor, "handlers", "%s: %s", fact->name, err.text);
    else if (strncmp(fact->value, "exec ", 5) == 0 && access(path, X_OK) != 0)
        doctor_wrong(doctor, "handlers", "%s: %s is not executable: chmod +x it", fact->name, path);
    free(path);
}

static void check_handlers(struct doctor *doctor)
{
    unsigned before = doctor->wrong;

    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (is(fact, "sql"))
            doctor_wrong(doctor, "handlers", "%s: %s", fact->name, fact->value);
        else if (is(fact, "file"))
            check_file(doctor, fact);
    }
    if (doctor->wrong == before)
        doctor_ok(doctor, "handlers", "what they name is there and may run");
}

static void check_schema(struct doctor *doctor)
{
    struct err err;
    int64_t before = clock_real_ms();

    if (store_diagnose(doctor->store, &doctor->facts, &err) != RESULT_OK) {
        doctor_wrong(doctor, "rights",
                     "%s: grant candhook_worker to the user that `database` names, or run candhook init again",
                     err.text);
        return;
    }
    check_clock(doctor, before, clock_real_ms());
    check_rights(doctor);
    check_partitions(doctor);
    check_handlers(doctor);
}

void doctor_check_database(struct doctor *doctor)
{
    struct store *store = store_new(doctor->conf->database);
    struct err err;

    if (store_connect(store, 0, &err) != RESULT_OK) {
        doctor_wrong(doctor, "database",
                     "%s. Events wait in the spool meanwhile. Is the server up, and is `database` right?", err.text);
    } else if (store_check_version(store, &err) != RESULT_OK) {
        doctor_wrong(doctor, "schema", "%s", err.text);
    } else {
        doctor_ok(doctor, "database", "reachable, schema version %d", STORE_VERSION);
        doctor->store = store;
        check_schema(doctor);
        return;
    }
    store_free(store);
}

/* ---- whether work goes on ---- */

/* A worker, or what takes its place. A helper may be starting one just now. */
static void check_worker(struct doctor *doctor)
{
    struct inspection *look = &doctor->look;
    struct err err;

    for (int waited = 0; look->worker == 0 && look->answers.responders > 0 && !look->stopped && waited < START_WAIT_MS;
         waited += 100) {
        usleep(100000);
        inspect_close(look);
        if (inspect_spool(look, doctor->conf, NULL, &err) != RESULT_OK)
            return;
    }
    if (look->stopped)
        doctor_wrong(doctor, "worker", "a person ran candhook stop, and nothing is recorded since: run candhook work");
    else if (look->worker > 0)
        doctor_ok(doctor, "worker", "process %d", (int)look->worker);
    else if (look->worker < 0)
        doctor_note(doctor, "worker", "one runs where its process cannot be seen from here (another container?)");
    else if (look->answers.responders > 0)
        doctor_wrong(doctor, "worker",
                     "none runs, though a responder does (process %d): the log (%s) says why none starts, or run "
                     "candhook work and see",
                     (int)look->answers.pid, doctor->conf->log);
    else
        doctor_note(
            doctor, "worker",
            "neither a worker nor a responder runs now. That is right on plain CGI hosting, where each event "
            "starts a worker for a moment; what is to be tried again, or is held for a token, then waits for the "
            "next event or for cron: */5 * * * * CANDHOOK_CONF=%s %s work --once",
            doctor->conf->path, doctor->conf->worker_program);
}

static void check_backlog(struct doctor *doctor, const struct store_facts *facts)
{
    long due = strtol(store_find_fact(facts, "deliveries", "oldest_due_s"), NULL, 10);
    long oldest = inspect_oldest_seconds(&doctor->look);
    char age[32];

    if (oldest > RECORDING_SECONDS)
        doctor_wrong(doctor, "backlog",
                     "%zu events are not recorded, the oldest for %s: no worker runs, or the database refuses; the log "
                     "(%s) says which",
                     doctor->look.depth.events, inspect_age(oldest, age), doctor->conf->log);
    if (due > DUE_SECONDS)
        doctor_wrong(
            doctor, "backlog",
            "a delivery could have run for %s: no worker runs, or more runners are needed (setting `runners`); "
            "select * from candhook.due",
            inspect_age(due, age));
    if (oldest <= RECORDING_SECONDS && due <= DUE_SECONDS)
        doctor_ok(doctor, "backlog", "%zu events not recorded yet, %ld deliveries due", doctor->look.depth.events,
                  strtol(store_find_fact(facts, "deliveries", "due"), NULL, 10));
}

/* What people may want to know, from the outcomes of the last day. */
static void tell_outcome(struct doctor *doctor, const struct store_fact *fact)
{
    const char *count = fact->value, *name = fact->name;

    if (is(fact, "malformed"))
        doctor_note(doctor, "malformed", "%s bodies of the last day were no events: select * from candhook.malformed",
                    count);
    else if (is(fact, "failed"))
        doctor_note(doctor, "failed",
                    "handler %s failed %s times for good in the last day: select * from candhook.failed", name, count);
    else if (is(fact, "unhandled"))
        doctor_note(doctor, "unhandled", "%s events %s of the last day: select * from candhook.unhandled_types", count,
                    name);
    else if (is(fact, "token"))
        doctor_note(doctor, "held", "%s deliveries wait for a bot token of %s: candhook token set", count,
                    *name != '\0' ? name : "a community that their events do not name");
    else if (is(fact, "paused"))
        doctor_note(doctor, "paused", "%s deliveries wait for the handler %s, which is disabled", count, name);
}

void doctor_check_work(struct doctor *doctor)
{
    struct store_facts facts = {0};
    struct err err;

    if (!doctor->has_look)
        return;
    check_worker(doctor);
    if (doctor->store != NULL && store_status(doctor->store, &facts, &err) != RESULT_OK) {
        doctor_wrong(doctor, "rights", "%s: run candhook init again", err.text);
        return;
    }
    inspect_close(&doctor->look);
    if (inspect_spool(&doctor->look, doctor->conf, doctor->store != NULL ? &facts : NULL, &err) == RESULT_OK)
        check_backlog(doctor, &facts);
    if (doctor->store != NULL)
        store_free_facts(&facts);
    for (size_t i = 0; i < doctor->facts.count; i++)
        tell_outcome(doctor, &doctor->facts.facts[i]);
}
