/*
 * SPDX-License-Identifier: ISC
 *
 * What the files doctor_*.c share with candhook doctor; nobody else includes this. A check says one line.
 */
#ifndef CANDHOOK_DOCTOR_H
#define CANDHOOK_DOCTOR_H

#include "base/err.h"
#include "conf/conf.h"
#include "conf/secrets.h"
#include "store/store.h"
#include "tool/inspect.h"

struct doctor {
    const struct conf *conf;
    struct secrets *secrets;  /* NULL: they cannot be used */
    struct store *store;      /* NULL, or connected to a schema that we know */
    struct store_facts facts; /* of store_diagnose */
    struct inspection look;
    int has_look;
    int quiet, colour;
    unsigned wrong; /* how many checks found something wrong */
};

/* All is well with SUBJECT. */
void doctor_ok(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Nothing is wrong, but somebody may want to know. */
void doctor_note(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Something is wrong; the text ends with the remedy. */
void doctor_wrong(struct doctor *doctor, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The URL secrets and base_url; loads doctor->secrets. */
void doctor_check_secrets(struct doctor *doctor);

/* The spool's folder: whose it is, on what it lies, whether it takes what is written. */
void doctor_check_spool(struct doctor *doctor);

/* Log, handler_dir, worker_program. */
void doctor_check_files(struct doctor *doctor);

/* Connects, and checks the database; opens doctor->store when it can be used, and fills doctor->facts. */
void doctor_check_database(struct doctor *doctor);

/* Whether work goes on: worker, backlog, outcomes. After the others. */
void doctor_check_work(struct doctor *doctor);

/* Posts to URL and follows what comes of it. */
void doctor_probe(struct doctor *doctor, const char *url);

#endif
