/*
 * SPDX-License-Identifier: ISC
 *
 * The configuration. One section, [candhook], of `key = value` lines; comments begin with # or ; in a line's first
 * column. A value is everything from behind the equal sign to the end of the line, blanks around it left out: quotes,
 * #, ; and = are part of it. conf_keys.c holds the table of keys.
 *
 * libini_config splits the lines. It is lenient in places (keys before a section get lost, names are compared without
 * regard to case, some bytes make it fail without saying where), so check_lines looks at the shape of each line first.
 *
 * No message shows the value of `database`, the value of an unknown key, or a line that is no `key = value`: a password
 * may stand there.
 */
#include <config.h>

#include "conf/conf.h"

#include "base/private_file.h"
#include "conf/conf_keys.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <ini_configobj.h>
#include <ini_valueobj.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECTION "candhook"
#define FILE_IN_SYSCONFDIR SYSCONFDIR "/candhook.conf"
#define SAMPLE PKGDATADIR "/candhook.conf.sample"

/* What is being read, and on which line each key stood: 0 when it did not. */
struct reading {
    struct conf *conf;
    struct private_file file;
    unsigned lines[CONF_KEY_COUNT];
    struct err *err;
};

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- document roots ---- */

static int lies_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    while (length > 0 && folder[length - 1] == '/')
        length--;
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Resolves as much of an absolute path as is there, and keeps the rest as it is. */
static char *resolve(const char *path)
{
    char *copy = must(strdup(path)), *known = realpath(copy, NULL), *whole = NULL;
    char *cut = strrchr(copy, '/');

    while (known == NULL && cut != NULL && cut > copy) {
        *cut = '\0';
        known = realpath(copy, NULL);
        if (known == NULL)
            cut = strrchr(copy, '/');
    }
    if (known != NULL && asprintf(&whole, "%s%s", known, path + strlen(copy)) < 0)
        abort();
    free(known);
    free(copy);
    return whole != NULL ? whole : must(strdup(path));
}

/* Whether a web server is likely to hand out PATH, which is resolved: it lies in a folder with a name that means so. */
static int has_served_folder(const char *path)
{
    static const char *const names[] = {"/public_html/", "/htdocs/", "/httpdocs/"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strstr(path, names[i]) != NULL)
            return 1;
    }
    return lies_below(path, "/var/www/html");
}

/* PATH is taken over. */
static int place_is_served(char *path)
{
    const char *root = getenv("DOCUMENT_ROOT");
    char *real_root = root != NULL && *root == '/' ? resolve(root) : NULL;
    int served = has_served_folder(path) || (real_root != NULL && lies_below(path, real_root));

    free(real_root);
    free(path);
    return served;
}

/* Looks at the place of the file and, when PATH is a symbolic link, at the place of the link: servers follow them. */
static int is_served(const char *path)
{
    char *copy = must(strdup(path)), *folder = resolve(dirname(copy)), *place;
    int served;

    if (asprintf(&place, "%s/", folder) < 0)
        abort();
    served = place_is_served(place);
    if (!served)
        served = place_is_served(resolve(path));
    free(folder);
    free(copy);
    return served;
}

int conf_lies_under(const struct conf *conf, const char *folder)
{
    const char *const places[] = {conf->path, conf->url_secrets, conf->spool, conf->log};
    char *real = realpath(folder, NULL);
    int under = 0;

    for (size_t i = 0; real != NULL && i < sizeof places / sizeof places[0]; i++) {
        char *place = *places[i] == '/' ? resolve(places[i]) : NULL;

        under |= place != NULL && lies_below(place, real);
        free(place);
    }
    free(real);
    return under;
}

/* ---- the shape of the lines ---- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
            return 0;
    }
    return length > 0 && length <= CONF_KEY_BYTES;
}

/* Whether what stands before the first equal sign can be the name of a key. */
static int has_name(const char *line, size_t length)
{
    const char *stop = memchr(line, '=', length);

    if (stop == NULL)
        return 0;
    while (line < stop && is_blank(*line))
        line++;
    while (line < stop && is_blank(stop[-1]))
        stop--;
    return is_name(line, (size_t)(stop - line));
}

static size_t without_blanks(const char *line, size_t length)
{
    while (length > 0 && is_blank(line[length - 1]))
        length--;
    return length;
}

/* What is wrong with one line, or NULL. */
static const char *line_fault(const char *line, size_t length, int *in_section)
{
    static const char section[] = "[" SECTION "]";

    length = without_blanks(line, length);
    if (memchr(line, '\0', length) != NULL)
        return "a NUL byte";
    if (length == 0 || *line == '#' || *line == ';')
        return NULL;
    if (*line == '[') {
        *in_section = 1;
        return length == sizeof section - 1 && memcmp(line, section, length) == 0 ? NULL
                                                                                  : "the only section is [" SECTION "]";
    }
    if (!has_name(line, length))
        return "neither `key = value` nor a comment, which has # in the first column";
    return *in_section ? NULL : "a key before the section: the file must begin with the line [" SECTION "]";
}

/* How many bytes from the start are UTF-8. */
static size_t utf8_length(const char *text, size_t length)
{
    iconv_t converter = iconv_open("UTF-8", "UTF-8");
    char *in = (char *)(uintptr_t)text; /* iconv only reads there */
    size_t left = length;
    int more = converter != (iconv_t)-1;

    while (more) {
        char out[4096], *to = out;
        size_t room = sizeof out;

        more = iconv(converter, &in, &left, &to, &room) == (size_t)-1 && errno == E2BIG;
    }
    if (converter != (iconv_t)-1)
        iconv_close(converter);
    return converter != (iconv_t)-1 ? length - left : length;
}

static enum result check_lines(const struct reading *reading)
{
    const char *at = reading->file.text, *end = at + reading->file.length;
    const char *bad = at + utf8_length(at, reading->file.length);
    int in_section = 0;

    if (reading->file.length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    for (unsigned line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        const char *fault = line_fault(at, (size_t)(stop - at), &in_section);

        if (fault == NULL && bad < stop)
            fault = "not UTF-8";
        if (fault != NULL) {
            err_set(reading->err, "%s:%u: %s", reading->conf->path, line, fault);
            return RESULT_FAIL;
        }
        at = stop + 1;
    }
    return RESULT_OK;
}

/* ---- keys and values ---- */

static enum result refuse_name(const struct reading *reading, const char *name, unsigned line)
{
    const struct conf_key *near = conf_key_near(name);
    char list[256] = "", hint[CONF_KEY_BYTES + 32] = "";

    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", conf_keys[i].name);
    }
    if (near != NULL)
        snprintf(hint, sizeof hint, " (did you mean %s?)", near->name);
    err_set(reading->err, "%s:%u: unknown key %s%s; the keys are: %s", reading->conf->path, line, name, hint, list);
    return RESULT_FAIL;
}

static enum result refuse_value(const struct reading *reading, const struct conf_key *key, unsigned line,
                                const char *value)
{
    size_t length = strnlen(value, 100);
    struct log_quoted shown;
    char allowed[160];

    conf_key_allowed(key, allowed, sizeof allowed);
    if (*value == '\0')
        err_set(reading->err, "%s:%u: %s is empty; allowed: %s", reading->conf->path, line, key->name, allowed);
    else
        err_set(reading->err, "%s:%u: %s = %s%s is not allowed; allowed: %s", reading->conf->path, line, key->name,
                log_quote(&shown, value, length), value[length] != '\0' ? "..." : "", allowed);
    return RESULT_FAIL;
}

static enum result take(struct reading *reading, const char *name, const char *value, unsigned line)
{
    const struct conf_key *key = conf_key_find(name);
    unsigned *seen;

    if (key == NULL)
        return refuse_name(reading, name, line);
    seen = &reading->lines[key - conf_keys];
    if (*seen != 0) {
        err_set(reading->err, "%s:%u: %s stands on line %u already; a key may stand once", reading->conf->path, line,
                name, *seen);
        return RESULT_FAIL;
    }
    *seen = line;
    return conf_key_set(reading->conf, key, value) == 0 ? RESULT_OK : refuse_value(reading, key, line, value);
}

/*
 * The library gives all values of a name that differs only in case under each of the names, so the value of
 * names[WHICH] is the one after those of its equals before it.
 */
static const char *value_of(struct ini_cfgobj *ini, char *const *names, int which, unsigned *line)
{
    struct value_obj *value = NULL;
    uint32_t number = 0;
    int skip = 0, error;

    for (int i = 0; i < which; i++)
        skip += strcasecmp(names[i], names[which]) == 0;
    error = ini_get_config_valueobj(SECTION, names[which], ini, INI_GET_FIRST_VALUE, &value);
    for (; skip > 0 && error == 0 && value != NULL; skip--)
        error = ini_get_config_valueobj(SECTION, names[which], ini, INI_GET_NEXT_VALUE, &value);
    if (error != 0 || value == NULL || value_get_line(value, &number) != 0)
        return NULL;
    *line = number;
    return ini_get_const_string_config_value(value, NULL);
}

static enum result take_all(struct reading *reading, struct ini_cfgobj *ini)
{
    enum result result = RESULT_OK;
    int count = 0, error = 0;
    char **names = ini_get_attribute_list(ini, SECTION, &count, &error);

    if (names == NULL)
        return RESULT_OK; /* no section: the file is empty */
    for (int i = 0; i < count && result == RESULT_OK; i++) {
        unsigned line = 0;
        const char *value = value_of(ini, names, i, &line);

        if (value == NULL) {
            err_set(reading->err, "%s: cannot read the value of %s", reading->conf->path, names[i]);
            result = RESULT_FAIL;
        } else {
            result = take(reading, names[i], value, line);
        }
    }
    ini_free_attribute_list(names);
    return result;
}

/* check_lines leaves little that the library could find wrong; what it does is given on in its words. */
static void describe_ini_error(const struct reading *reading, struct ini_cfgobj *ini, int error)
{
    char **texts = NULL;

    if (ini_config_get_errors(ini, &texts) == 0 && texts != NULL && texts[0] != NULL)
        err_set(reading->err, "%s: %s", reading->conf->path, texts[0]);
    else
        err_set(reading->err, "%s is not understood: %s", reading->conf->path, strerror(error));
    if (texts != NULL)
        ini_config_free_errors(texts);
}

static enum result read_keys(struct reading *reading)
{
    const struct private_file *file = &reading->file;
    struct ini_cfgfile *source = NULL;
    struct ini_cfgobj *ini = NULL;
    enum result result = RESULT_FAIL;
    int error;

    if (ini_config_create(&ini) != 0)
        abort();
    error = ini_config_file_from_mem(file->text, (uint32_t)file->length, &source);
    if (error == 0)
        error = ini_config_parse(source, INI_STOP_ON_NONE, INI_MV1S_ALLOW | INI_MV2S_ALLOW | INI_MS_MERGE,
                                 INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, ini);
    if (error != 0)
        describe_ini_error(reading, ini, error);
    else
        result = take_all(reading, ini);
    if (source != NULL)
        ini_config_file_destroy(source);
    ini_config_destroy(ini);
    return result;
}

/* ---- the whole ---- */

static enum result set_defaults(struct reading *reading)
{
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        const struct conf_key *key = &conf_keys[i];

        if (reading->lines[i] != 0)
            continue;
        if (key->fallback == NULL) {
            err_set(reading->err, "%s: %s is missing: add a line `%s = ...` (the %s)", reading->conf->path, key->name,
                    key->name, key->help);
            return RESULT_FAIL;
        }
        if (conf_key_set(reading->conf, key, key->fallback) != 0)
            return refuse_value(reading, key, 0, key->fallback);
    }
    return RESULT_OK;
}

static enum result check_places(const struct reading *reading)
{
    const struct conf *conf = reading->conf;

    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        const char *path = conf_key_text(conf, &conf_keys[i]);
        int hidden = conf_keys[i].kind == CONF_HIDDEN || conf_keys[i].kind == CONF_TARGET;

        if (!hidden || *path != '/' || !is_served(path))
            continue;
        err_set(reading->err,
                "%s:%u: %s = %s lies under a document root, where a web server may hand it out: move it out",
                conf->path, reading->lines[i], conf_keys[i].name, path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

static void describe_missing(const char *named, struct err *err)
{
    if (named != NULL)
        err_set(err,
                "no configuration: CANDHOOK_CONF names %s, which is not there (without it, " FILE_IN_SYSCONFDIR
                " is read); make it from " SAMPLE ", see candhook.conf(5)",
                named);
    else
        err_set(err, "no configuration: CANDHOOK_CONF is not set, and " FILE_IN_SYSCONFDIR
                     " is not there; make it from " SAMPLE ", see candhook.conf(5)");
}

/* Opens the file and finds where it really lies. */
static enum result open_file(struct reading *reading)
{
    static const struct private_file_rule rule = {
        .refused = S_IWGRP | S_IROTH | S_IWOTH, .remedy = "chmod g-w,o-rw", .root_may_own = 1, .max = 1024 * 1024};
    const char *named = getenv("CANDHOOK_CONF"), *path;

    if (named != NULL && *named == '\0')
        named = NULL;
    path = named != NULL ? named : FILE_IN_SYSCONFDIR;
    if (private_file_read(path, &rule, &reading->file, reading->err) != RESULT_OK) {
        if (errno == ENOENT)
            describe_missing(named, reading->err);
        return RESULT_FAIL;
    }
    reading->conf->path = realpath(path, NULL);
    if (reading->conf->path == NULL) {
        err_set_errno(reading->err, "cannot find where %s lies", path);
        return RESULT_FAIL;
    }
    if (is_served(path)) {
        err_set(
            reading->err,
            "%s lies under a document root, where a web server may hand it out: move it out, and name its new place in "
            "CANDHOOK_CONF",
            reading->conf->path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

enum result conf_load(struct conf **out, struct err *err)
{
    struct reading reading = {.conf = must(calloc(1, sizeof(struct conf))), .err = err};
    enum result result = open_file(&reading);

    if (result == RESULT_OK)
        result = check_lines(&reading);
    if (result == RESULT_OK)
        result = read_keys(&reading);
    if (result == RESULT_OK)
        result = set_defaults(&reading);
    if (result == RESULT_OK)
        result = check_places(&reading);
    private_file_free(&reading.file);
    if (result != RESULT_OK)
        conf_free(reading.conf);
    else
        *out = reading.conf;
    return result;
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
