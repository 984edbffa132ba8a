/*
 * SPDX-License-Identifier: ISC
 *
 * The keys of the configuration: one table, and what can be done with a row of it. For conf.c alone.
 */
#ifndef CANDHOOK_CONF_KEYS_H
#define CANDHOOK_CONF_KEYS_H

#include "conf/conf.h"

#include <stddef.h>
#include <stdint.h>

#define CONF_KEY_BYTES 64 /* longest name of a key, known or not */

/* What a value may be, and which type its member of struct conf has. */
enum conf_kind {
    CONF_TEXT,    /* not empty; may hold a password, so it is never shown */
    CONF_PATH,    /* absolute path */
    CONF_HIDDEN,  /* absolute path that must not lie under a document root */
    CONF_TARGET,  /* stderr, syslog, or a path like CONF_HIDDEN */
    CONF_URL,     /* http or https, without user, query and fragment */
    CONF_WORD,    /* printable ASCII without blanks */
    CONF_WORDS,   /* such words, without quotes and backslashes, with blanks between them; may be empty */
    CONF_SIZE,    /* bytes, in a size_t */
    CONF_SPACE,   /* bytes, in a uint64_t */
    CONF_COUNT,   /* a number, in an unsigned */
    CONF_SECONDS, /* a time, in an unsigned */
    CONF_SWITCH,  /* yes or no */
    CONF_LEVEL    /* the name of an enum log_level */
};

struct conf_key {
    const char *name;
    enum conf_kind kind;
    size_t offset;        /* of the member in struct conf */
    const char *fallback; /* the default; NULL: the key must be set; "": it may be left out */
    uint64_t min, max;    /* of sizes, counts and times */
    const char *help;
};

#define CONF_KEY_COUNT 28

extern const struct conf_key conf_keys[CONF_KEY_COUNT];

/* Returns the row of that name, or NULL. */
const struct conf_key *conf_key_find(const char *name);

/* Sets the value. Returns false when the key does not allow it. */
MUST_CHECK bool conf_key_set(struct conf *conf, const struct conf_key *key, const char *value);

/* Returns the value of a key whose member is a text; NULL for other keys. */
const char *conf_key_text(const struct conf *conf, const struct conf_key *key);

/* Writes what KEY allows, for people. */
void conf_key_allowed(const struct conf_key *key, char *text, size_t room);

/* Writes the value as the file would have it, "(set)" for one that is never shown. */
void conf_key_value(const struct conf *conf, const struct conf_key *key, char *text, size_t room);

/* Returns the key whose name resembles NAME most, or NULL when none does. */
const struct conf_key *conf_key_near(const char *name);

/* Frees the texts of CONF, and overwrites them first. */
void conf_keys_free(struct conf *conf);

#endif
