/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: whether the console is open, and whether its user of the database may what it has to.
 */
#include <config.h>

#include "conf/web_users.h"
#include "tool/doctor.h"

#include <stdlib.h>

#define SUBJECT "console"

/* Asks as the console does. Returns the status of HTTP that would be answered, -1 with a description. */
static int ask_as_console(const char *conninfo, const char *path, struct err *err)
{
    const struct store_question question = {.path = path, .asked = "{}", .who = "candhook doctor", .may_act = true};
    struct store *store = store_new(conninfo);
    struct store_reply reply = {0};
    bool answered =
        store_connect(store, true, err) == RESULT_OK && store_web(store, &question, &reply, err) == RESULT_OK;

    free(reply.json);
    store_free(store);
    return answered ? reply.status : -1;
}

/* An action that names none is refused with 400, after the right to act was seen. */
static void check_rights(struct doctor *doctor, size_t users)
{
    const char *conninfo = conf_read_database(doctor->conf);
    struct err err;
    int reads = ask_as_console(conninfo, "audit", &err),
        acts = reads == 200 ? ask_as_console(conninfo, "act", &err) : 0;

    if (reads < 0 || acts < 0)
        doctor_wrong(doctor, SUBJECT, "%s: look at web_database and read_database in %s", err.text, doctor->conf->path);
    else if (reads != 200)
        doctor_wrong(doctor, SUBJECT,
                     "its user of the database may not read: grant candhook_reader, candhook_admin to "
                     "it (web_database or read_database in %s)",
                     doctor->conf->path);
    else if (acts == 403)
        doctor_note(doctor, SUBJECT,
                    "%zu %s may log in, and none may act: the user of its database lacks the role "
                    "candhook_admin, or read_database names a replica",
                    users, users == 1 ? "user" : "users");
    else
        doctor_ok(doctor, SUBJECT, "%zu %s may log in: candhook web-user list", users, users == 1 ? "user" : "users");
}

void doctor_check_console(struct doctor *doctor)
{
    struct web_users *users;
    size_t count;
    struct err err;

    if (web_users_load(&users, doctor->conf->web_users, &err) != RESULT_OK) {
        doctor_wrong(doctor, SUBJECT, "%s", err.text);
        return;
    }
    count = web_users_count(users);
    web_users_free(users);
    if (count == 0)
        doctor_ok(doctor, SUBJECT, "closed: candhook web-user add NAME opens it");
    else
        check_rights(doctor, count);
}
