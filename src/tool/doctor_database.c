/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: the database, its clock, the rights of its user, its partitions and its handlers.
 */
#include <config.h>

#include "base/clock.h"
#include "base/memory.h"
#include "tool/doctor.h"
#include "work/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOCKS_NOTE_MS 2000
#define CLOCKS_WRONG_MS 60000

static bool fact_is(const struct store_fact *fact, const char *area)
{
    return strcmp(fact->area, area) == 0;
}

static void check_database_clock(struct doctor *doctor, int64_t before, int64_t after)
{
    int64_t theirs = strtoll(store_find_fact(&doctor->facts, "clock", ""), NULL, 10);
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
    const struct store_facts *facts = &doctor->facts;
    const char *user = store_find_fact(facts, "user", ""), *missing = NULL;
    size_t count = 0;

    for (size_t i = 0; i < facts->count; i++)
        if (fact_is(&facts->facts[i], "right") && count++ == 0)
            missing = facts->facts[i].name;
    if (missing != NULL)
        doctor_wrong(doctor, "rights",
                     "the user %s may not call %s%s, so no worker can work: grant candhook_worker to \"%s\"", user,
                     missing, count > 1 ? " and others" : "", user);
    else
        doctor_ok(doctor, "rights", "the user %s may do what a worker does", user);
    if (strcmp(store_find_fact(facts, "superuser", ""), "true") == 0)
        doctor_note(doctor, "rights",
                    "the user %s is a superuser; a user of its own with the role candhook_worker is safer", user);
}

static void check_database_settings(struct doctor *doctor)
{
    if (strcmp(store_find_fact(&doctor->facts, "readonly", ""), "true") == 0)
        doctor_wrong(doctor, "database",
                     "it is read-only (a standby?): name the primary in `database`, or several hosts with "
                     "target_session_attrs=read-write");
}

static void check_partition_facts(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->facts.count; i++) {
        const struct store_fact *fact = &doctor->facts.facts[i];

        if (fact_is(fact, "partition"))
            doctor_wrong(
                doctor, "partitions",
                "table %s: %s. The worker makes it within the hour; at once: select candhook_internal.maintain()",
                fact->name, fact->value);
    }
}

/* FACT is the file of a handler: "c FILE:FUNCTION" or "exec FILE". */
static void check_handler_file(struct doctor *doctor, const struct store_fact *fact)
{
    bool is_exec = strncmp(fact->value, "exec ", 5) == 0;
    const char *target = strchr(fact->value, ' ') + 1;
    char *name = is_exec ? memory_copy_text(target) : memory_copy_bytes(target, strcspn(target, ":")), *path = NULL;
    struct err err;

    if (child_find(doctor->conf->handler_dir, name, &path, &err) != RESULT_OK)
        doctor_wrong(doctor, "handlers", "%s: %s", fact->name, err.text);
    else if (is_exec && access(path, X_OK) != 0)
        doctor_wrong(doctor, "handlers", "%s: %s is not executable: chmod +x it", fact->name, path);
    free(path);
    free(name);
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
    check_database_settings(doctor);
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
