/*
 * SPDX-License-Identifier: ISC
 *
 * The file has one section, [candhook], with lines `key = value`. Comments begin with # or ; in the first column. A
 * value is all from behind the first equal sign to the end of the line, without the blanks at its two ends: quotes, #,
 * ; and = are part of it. conf_keys.c holds the table of keys.
 *
 * No message shows the value of `database`, the value of an unknown key, or a line that is not `key = value`: each may
 * hold a password.
 */
#include <config.h>

#include "conf/conf.h"

#include "base/memory.h"
#include "base/private_file.h"
#include "base/utf8.h"
#include "conf/conf_keys.h"
#include "conf/document_root.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SECTION "[candhook]"
#define DEFAULT_PATH SYSCONFDIR "/candhook.conf"
#define SAMPLE_PATH PKGDATADIR "/candhook.conf.sample"

/* A file that is being read. */
struct conf_reading {
    struct conf *conf;
    struct private_file file;
    unsigned line;                      /* the current one, from 1 */
    bool in_section;                    /* whether the line [candhook] came */
    unsigned key_lines[CONF_KEY_COUNT]; /* the line of each key; 0: not set yet */
    struct err *err;
};

/* ---- a key and its value ---- */

static enum result refuse_key(const struct conf_reading *reading, const char *name)
{
    const struct conf_key *near = conf_key_near(name);
    char list[256] = "", hint[CONF_KEY_BYTES + 32] = "";

    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", conf_keys[i].name);
    }
    if (near != NULL)
        snprintf(hint, sizeof hint, " (did you mean %s?)", near->name);
    err_set(reading->err, "%s:%u: unknown key %s%s; the keys are: %s", reading->conf->path, reading->line, name, hint,
            list);
    return RESULT_FAIL;
}

static enum result refuse_value(const struct conf_reading *reading, const struct conf_key *key, const char *value)
{
    size_t length = strnlen(value, 100);
    struct log_quoted shown;
    char allowed[160];

    conf_key_allowed(key, allowed, sizeof allowed);
    if (*value == '\0')
        err_set(reading->err, "%s:%u: %s is empty; allowed: %s", reading->conf->path, reading->line, key->name,
                allowed);
    else
        err_set(reading->err, "%s:%u: %s = %s%s is not allowed; allowed: %s", reading->conf->path, reading->line,
                key->name, log_quote(&shown, value, length), value[length] != '\0' ? "..." : "", allowed);
    return RESULT_FAIL;
}

static enum result set_key(struct conf_reading *reading, const char *name, const char *value)
{
    const struct conf_key *key = conf_key_find(name);
    unsigned *line;

    if (key == NULL)
        return refuse_key(reading, name);
    line = &reading->key_lines[key - conf_keys];
    if (*line != 0) {
        err_set(reading->err, "%s:%u: %s stands on line %u already; a key may stand once", reading->conf->path,
                reading->line, name, *line);
        return RESULT_FAIL;
    }
    *line = reading->line;
    return conf_key_set(reading->conf, key, value) ? RESULT_OK : refuse_value(reading, key, value);
}

/* ---- lines ---- */

static bool is_conf_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Returns the text from AT to END without the blanks around it, ended by a NUL in place. */
static char *trim_text(char *at, char *end)
{
    while (at < end && is_conf_blank(*at))
        at++;
    while (at < end && is_conf_blank(end[-1]))
        end--;
    *end = '\0';
    return at;
}

static bool is_key_name(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= CONF_KEY_BYTES && text[length] == '\0';
}

static enum result refuse_line(const struct conf_reading *reading, const char *fault)
{
    err_set(reading->err, "%s:%u: %s", reading->conf->path, reading->line, fault);
    return RESULT_FAIL;
}

static enum result read_section_line(struct conf_reading *reading, const char *line)
{
    if (strcmp(line, SECTION) != 0)
        return refuse_line(reading, "the only section is " SECTION);
    reading->in_section = true;
    return RESULT_OK;
}

static enum result read_key_line(struct conf_reading *reading, char *line)
{
    char *equals = strchr(line, '='), *name = NULL, *value = NULL;

    if (equals != NULL) {
        value = trim_text(equals + 1, equals + strlen(equals));
        name = trim_text(line, equals);
    }
    if (name == NULL || !is_key_name(name))
        return refuse_line(reading, "neither `key = value` nor a comment, which has # in the first column");
    if (!reading->in_section)
        return refuse_line(reading, "a key before the section: the file must begin with the line " SECTION);
    return set_key(reading, name, value);
}

/* Reads the line from LINE to END, where its line feed or the NUL behind the file stands. */
static enum result read_line(struct conf_reading *reading, char *line, char *end)
{
    size_t length = (size_t)(end - line);

    if (memchr(line, '\0', length) != NULL)
        return refuse_line(reading, "a NUL byte");
    if (utf8_span(line, length) != length)
        return refuse_line(reading, "not UTF-8");
    if (*trim_text(line, end) == '\0' || *line == '#' || *line == ';')
        return RESULT_OK;
    return *line == '[' ? read_section_line(reading, line) : read_key_line(reading, line);
}

static enum result read_lines(struct conf_reading *reading)
{
    char *at = reading->file.text, *end = at + reading->file.length;
    enum result result = RESULT_OK;

    if (reading->file.length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (at < end && result == RESULT_OK) {
        char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline != NULL ? newline : end;

        reading->line++;
        result = read_line(reading, at, stop);
        at = stop + 1;
    }
    return result;
}

/* ---- the file ---- */

static void describe_missing_file(const char *named, struct err *err)
{
    if (named != NULL)
        err_set(err,
                "no configuration: CANDHOOK_CONF names %s, which is not there (without it, " DEFAULT_PATH
                " is read); make it from " SAMPLE_PATH ", see candhook.conf(5)",
                named);
    else
        err_set(err, "no configuration: CANDHOOK_CONF is not set, and " DEFAULT_PATH
                     " is not there; make it from " SAMPLE_PATH ", see candhook.conf(5)");
}

static bool is_served(const char *path)
{
    return document_root_holds(path, getenv("DOCUMENT_ROOT"));
}

/* Reads the file's text, and resolves its path. */
static enum result open_conf_file(struct conf_reading *reading)
{
    static const struct private_file_rule rule = {
        .refused = S_IWGRP | S_IROTH | S_IWOTH, .remedy = "chmod g-w,o-rw", .root_may_own = true, .max = 1024 * 1024};
    const char *named = getenv("CANDHOOK_CONF"), *path;

    if (named != NULL && *named == '\0')
        named = NULL;
    path = named != NULL ? named : DEFAULT_PATH;
    if (private_file_read(path, &rule, &reading->file, reading->err) != RESULT_OK) {
        if (reading->file.missing)
            describe_missing_file(named, reading->err);
        return RESULT_FAIL;
    }
    reading->conf->path = realpath(path, NULL);
    if (reading->conf->path == NULL) {
        err_set_errno(reading->err, "cannot resolve the path %s", path);
        return RESULT_FAIL;
    }
    if (is_served(path)) {
        err_set(reading->err,
                "%s lies under a document root, where a web server may hand it out: move it out, and name its new path "
                "in CANDHOOK_CONF",
                reading->conf->path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

static enum result set_defaults(struct conf_reading *reading)
{
    reading->line = 0;
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        const struct conf_key *key = &conf_keys[i];

        if (reading->key_lines[i] != 0)
            continue;
        if (key->fallback == NULL) {
            err_set(reading->err, "%s: %s is missing: add a line `%s = ...` (the %s)", reading->conf->path, key->name,
                    key->name, key->help);
            return RESULT_FAIL;
        }
        if (!conf_key_set(reading->conf, key, key->fallback))
            return refuse_value(reading, key, key->fallback);
    }
    return RESULT_OK;
}

static enum result check_paths(const struct conf_reading *reading)
{
    const struct conf *conf = reading->conf;

    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        const char *path = conf_key_text(conf, &conf_keys[i]);
        bool hidden = conf_keys[i].kind == CONF_HIDDEN || conf_keys[i].kind == CONF_TARGET;

        if (!hidden || *path != '/' || !is_served(path))
            continue;
        err_set(reading->err,
                "%s:%u: %s = %s lies under a document root, where a web server may hand it out: move it out",
                conf->path, reading->key_lines[i], conf_keys[i].name, path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

/* ---- the functions of conf.h ---- */

enum result conf_load(struct conf **out, struct err *err)
{
    struct conf_reading reading = {.conf = memory_new(1, sizeof(struct conf)), .err = err};
    enum result result = open_conf_file(&reading);

    if (result == RESULT_OK)
        result = read_lines(&reading);
    if (result == RESULT_OK)
        result = set_defaults(&reading);
    if (result == RESULT_OK)
        result = check_paths(&reading);
    private_file_free(&reading.file);
    if (result != RESULT_OK)
        conf_free(reading.conf);
    else
        *out = reading.conf;
    return result;
}

bool conf_lies_under(const struct conf *conf, const char *folder)
{
    const char *const paths[] = {conf->path, conf->url_secrets, conf->spool, conf->log};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (*paths[i] == '/' && document_root_is_above(folder, paths[i]))
            return true;
    }
    return false;
}

const char *conf_web_database(const struct conf *conf)
{
    return *conf->web_database != '\0' ? conf->web_database : conf->database;
}

const char *conf_read_database(const struct conf *conf)
{
    return *conf->read_database != '\0' ? conf->read_database : conf_web_database(conf);
}

void conf_print(const struct conf *conf, FILE *stream)
{
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        char value[PATH_MAX];

        conf_key_value(conf, &conf_keys[i], value, sizeof value);
        fprintf(stream, "%s = %s\n", conf_keys[i].name, value);
    }
}

void conf_free(struct conf *conf)
{
    if (conf == NULL)
        return;
    conf_keys_free(conf);
    free(conf->path);
    free(conf);
}

const char *conf_default_url(void)
{
    return getenv("CANDHOOK_URL");
}

const char *conf_default_community(void)
{
    const char *community = getenv("CANDHOOK_ORIGIN_COMMUNITY_ID");

    return community != NULL && *community != '\0' ? community : NULL;
}
