/*
 * SPDX-License-Identifier: ISC
 *
 * The configuration: one ini file, read once at the start of a program. The only module that reads the environment for
 * settings (CANDHOOK_CONF). Its table of keys is what `candhook check-config` prints and candhook.conf(5) documents.
 */
#ifndef CANDHOOK_CONF_H
#define CANDHOOK_CONF_H

#include "base/err.h"
#include "base/log.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf {
    char *path;           /* the file all this came from, absolute */
    char *database;       /* libpq conninfo */
    char *spool;          /* folder, absolute */
    char *url_secrets;    /* file, absolute */
    char *base_url;       /* the URL without its secret, as canD sees it; "": not told */
    size_t max_body;      /* bytes */
    uint64_t min_free;    /* bytes that must stay free where the spool lies */
    unsigned keep_sealed; /* seconds that a recorded segment is kept; 0: not at all */
    unsigned runners;     /* processes that run handlers */
    char *handler_dir;    /* folder of c handlers, absolute */
    char *log;            /* "stderr", "syslog" or an absolute path */
    enum log_level log_level;
    char *worker_program; /* the candhook that the responder starts */
    char *api_url;        /* base of the canD API */
    char *authorize_url;  /* where communities authorize the App */
    char *webhook_scope;  /* template of a webhook scope: {module} and {area} stand for what is wanted */
};

/*
 * Finds and reads the configuration: $CANDHOOK_CONF, else sysconfdir/candhook.conf. The file must be a regular file,
 * owned by this user or root, not readable or writable by others, not writable by the group, and not under a document
 * root (a folder named public_html, htdocs, httpdocs, or /var/www/html; or below $DOCUMENT_ROOT if that is set). Nor
 * may the spool, the URL secrets or the log file lie under one. RESULT_FAIL with a description that names file, line
 * and the allowed values.
 */
MUST_CHECK enum result conf_load(struct conf **out, struct err *err);

/*
 * Whether the file, or the secrets, spool or log that it names, lies below FOLDER (a document root that a front server
 * told). All are resolved first.
 */
int conf_lies_under(const struct conf *conf, const char *folder);

/* Prints the settings in force, a line `key = value` for each; the database's says only that it is set. */
void conf_print(const struct conf *conf, FILE *stream);

void conf_free(struct conf *conf);

/* $CANDHOOK_URL: where candhook send posts when it is given no URL; NULL when it is not set. */
const char *conf_default_url(void);

/* $CANDHOOK_ORIGIN_COMMUNITY_ID, which an exec handler has: the community that candhook api calls for; NULL when it is
 * not set. */
const char *conf_default_community(void);

#endif
