/*
 * SPDX-License-Identifier: ISC
 *
 * The checks of candhook doctor. Each check reports lines: ok, note, or WRONG with the remedy. verb_doctor.c calls the
 * checks in order; they share a struct doctor.
 */
#ifndef CANDHOOK_DOCTOR_H
#define CANDHOOK_DOCTOR_H

#include "conf/conf.h"
#include "conf/secrets.h"
#include "status/inspect.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdio.h>

/* Begins with CONF, OUT, SPOOL.folder -1, QUIET and COLOUR; the rest is 0. */
struct doctor {
    const struct conf *conf;
    FILE *out;                /* where the lines go */
    bool quiet;               /* only what is wrong is printed */
    bool colour;              /* OUT is a terminal */
    struct secrets *secrets;  /* NULL: they cannot be used */
    struct store *store;      /* NULL, or connected to a schema of our version */
    struct store_facts facts; /* of store_diagnose */
    struct inspection spool;
    bool has_spool;
    unsigned wrong; /* how many lines were WRONG */
};

/* Each prints a line. The text of doctor_wrong ends with the remedy. */
void doctor_ok(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_note(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_wrong(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks the URL secrets and base_url. Loads doctor->secrets. */
void doctor_check_secrets(struct doctor *doctor);

/* Checks the spool: its owner, its file system, whether it takes what is written. Fills doctor->spool. */
void doctor_check_spool(struct doctor *doctor);

/* Checks the log and worker_program. */
void doctor_check_files(struct doctor *doctor);

/* Connects, and checks the database and the handlers. Opens doctor->store when it can be used; fills doctor->facts. */
void doctor_check_database(struct doctor *doctor);

/* Checks whether work goes on: worker, backlog, outcomes. To be called after the checks above. */
void doctor_check_work(struct doctor *doctor);

/* Checks whether communities can install the App in the browser. */
void doctor_check_install(struct doctor *doctor);

/* Checks whether the console is open, and works. */
void doctor_check_console(struct doctor *doctor);

/* Notes what is to be done about bot tokens. To be called after the checks above. */
void doctor_check_tokens(struct doctor *doctor);

/* Posts events to URL and follows them to their outcome. To be called after the checks above. */
void doctor_probe(struct doctor *doctor, const char *url);

/* Frees what the checks opened. */
void doctor_free(struct doctor *doctor);

#endif
