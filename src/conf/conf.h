/*
 * SPDX-License-Identifier: ISC
 *
 * The configuration: one file, read once when a program starts, and the variables of the environment that hold settings
 * (CANDHOOK_CONF, and those of the last two functions). No other module reads settings from the environment. The table
 * of the file's keys is what `candhook check-config` prints and candhook.conf(5) documents.
 */
#ifndef CANDHOOK_CONF_H
#define CANDHOOK_CONF_H

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf {
    char *path;           /* the file that all of this was read from, absolute */
    char *database;       /* libpq conninfo */
    char *spool;          /* folder, absolute */
    char *url_secrets;    /* file, absolute */
    char *base_url;       /* the URL that events are posted to, without its secret; "": not set */
    size_t max_body;      /* bytes */
    uint64_t min_free;    /* bytes that must stay free on the file system of the spool */
    unsigned keep_sealed; /* seconds that a segment is kept after it was recorded; 0: not kept */
    unsigned runners;     /* processes that run handlers */
    char *handler_dir;    /* folder of c and exec handlers, absolute */
    char *log;            /* "stderr", "syslog" or an absolute path */
    enum log_level log_level;
    char *worker_program; /* the candhook that the responder starts */
    bool confine;         /* whether the responder gives up the rights that it does not need */
    char *api_url;        /* base of the canD API */
    char *authorize_url;  /* where communities authorize the App */
    char *webhook_scope;  /* template of a webhook scope, with {module} and {area} */
    char *webhook_areas;  /* where the area of a scope differs from the type's beginning: "TYPE=AREA TYPE=AREA"; may be
                             "" */
    char *extra_scopes;   /* scopes that installation asks for beside those of the handlers, with blanks between; may be
                             "" */
    char *client_id;      /* of the App at the platform; "": not set */
    char *client_secret;  /* file that holds the client secret, absolute; "": a public client */
    bool client_secret_basic; /* it is sent by HTTP Basic, and not in the form */
    char *redirect_uri;       /* where the platform sends admins back to: the URL of .../callback; "": not set */
    char *token_url;          /* where codes are exchanged for tokens */
    char *web_database;       /* libpq conninfo of candhook-web.fcgi; "": that of database */
    char *read_database;      /* libpq conninfo of the database that the console reads; "": that of web_database */
    char *metrics_token;      /* file of the bearer token of .../metrics, absolute; "": there are no metrics there */
    char *web_key;            /* file of the key of candhook-web.fcgi's cookies, absolute */
    char *web_users;          /* file of the console's users (web_users.h), absolute */
};

/*
 * Finds and reads the configuration: the file named by $CANDHOOK_CONF, else sysconfdir/candhook.conf. It must be a
 * regular file, owned by this user or root, not readable or writable by others, not writable by the group. Neither it
 * nor the spool, the URL secrets or the log file may lie under a document root (document_root.h, and $DOCUMENT_ROOT).
 * RESULT_FAIL with a description that names file, line and the allowed values.
 */
MUST_CHECK enum result conf_load(struct conf **out, struct err *err);

/* Returns whether the file, or the secrets, spool or log that it names, lies below FOLDER, a document root. */
bool conf_lies_under(const struct conf *conf, const char *folder);

/* Returns the conninfo of candhook-web.fcgi: web_database, else database. */
const char *conf_web_database(const struct conf *conf);

/* Returns the conninfo of what the console reads, perhaps a replica: read_database, else conf_web_database. */
const char *conf_read_database(const struct conf *conf);

/* Prints the settings in force as lines `key = value`; of `database` only that it is set. */
void conf_print(const struct conf *conf, FILE *stream);

void conf_free(struct conf *conf);

/* Returns $CANDHOOK_URL, where `candhook send` and `candhook doctor` post when no URL is given; NULL when not set. */
const char *conf_default_url(void);

/*
 * Returns $CANDHOOK_ORIGIN_COMMUNITY_ID, the community that `candhook api` calls for when none is given; NULL when not
 * set. An exec handler has it, so that such calls need no option there.
 */
const char *conf_default_community(void);

#endif
