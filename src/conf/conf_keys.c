/*
 * SPDX-License-Identifier: ISC
 *
 * The table of keys. candhook.conf(5) and the installed sample say the same, and a test compares them: a new key is a
 * member of struct conf, a row here, and a paragraph in each of the two.
 */
#include <config.h>

#include "conf/conf_keys.h"

#include "base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIB ((uint64_t)1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define HOUR ((uint64_t)60 * 60)
#define DAY (24 * HOUR)
#define OFFSET(member) offsetof(struct conf, member)

const struct conf_key conf_keys[CONF_KEY_COUNT] = {
    {"database", CONF_TEXT, OFFSET(database), NULL, 0, 0, "connection string of the database, as libpq takes it"},
    {"spool", CONF_HIDDEN, OFFSET(spool), LOCALSTATEDIR "/lib/candhook/spool", 0, 0, "folder of the spool"},
    {"url_secrets", CONF_HIDDEN, OFFSET(url_secrets), SYSCONFDIR "/candhook.secrets", 0, 0, "file of the URL secrets"},
    {"base_url", CONF_URL, OFFSET(base_url), "", 0, 0, "the URL that events are posted to, without its secret"},
    {"max_body", CONF_SIZE, OFFSET(max_body), "1M", KIB, 16 * MIB, "largest body that is taken"},
    {"min_free", CONF_SPACE, OFFSET(min_free), "64M", 0, 1024 * GIB, "disk space that the spool leaves free"},
    {"keep_sealed", CONF_SECONDS, OFFSET(keep_sealed), "0", 0, 365 * DAY, "how long recorded segments are kept"},
    {"runners", CONF_COUNT, OFFSET(runners), "2", 0, 64, "processes that run handlers"},
    {"handler_dir", CONF_PATH, OFFSET(handler_dir), HANDLERDIR, 0, 0, "folder of the c and exec handlers"},
    {"log", CONF_TARGET, OFFSET(log), "stderr", 0, 0, "where log lines go"},
    {"log_level", CONF_LEVEL, OFFSET(log_level), "info", 0, 0, "the least important lines that are logged"},
    {"worker_program", CONF_PATH, OFFSET(worker_program), BINDIR "/candhook", 0, 0,
     "the program that the responder starts"},
    {"confine", CONF_SWITCH, OFFSET(confine), "yes", 0, 0, "whether the responder gives up what it does not need"},
    {"api_url", CONF_URL, OFFSET(api_url), "https://api.cand.xyz", 0, 0, "base of the canD API"},
    {"authorize_url", CONF_URL, OFFSET(authorize_url), "https://canpass.me/oauth2/authorize", 0, 0,
     "where communities authorize the App"},
    {"token_url", CONF_URL, OFFSET(token_url), "https://canpass.me/oauth2/token", 0, 0,
     "where codes are exchanged for tokens"},
    {"client_id", CONF_WORD, OFFSET(client_id), "", 0, 0, "the App's client id"},
    {"client_secret", CONF_HIDDEN, OFFSET(client_secret), "", 0, 0, "file of the App's client secret"},
    {"client_secret_basic", CONF_SWITCH, OFFSET(client_secret_basic), "no", 0, 0,
     "whether the client secret is sent by HTTP Basic"},
    {"redirect_uri", CONF_URL, OFFSET(redirect_uri), "", 0, 0, "the URL of the callback of an installation"},
    {"web_database", CONF_TEXT, OFFSET(web_database), "", 0, 0, "connection string of candhook-web.fcgi"},
    {"read_database", CONF_TEXT, OFFSET(read_database), "", 0, 0,
     "connection string of the database that the console reads, which may be a replica"},
    {"metrics_token", CONF_HIDDEN, OFFSET(metrics_token), "", 0, 0, "file of the bearer token of .../metrics"},
    {"web_key", CONF_HIDDEN, OFFSET(web_key), LOCALSTATEDIR "/lib/candhook/web.key", 0, 0,
     "file of the key of cookies"},
    {"web_users", CONF_HIDDEN, OFFSET(web_users), LOCALSTATEDIR "/lib/candhook/web.users", 0, 0,
     "file of the console's users"},
    {"webhook_scope", CONF_WORD, OFFSET(webhook_scope), "webhook:{module}:{area}", 0, 0, "template of a webhook scope"},
    {"webhook_areas", CONF_WORDS, OFFSET(webhook_areas), "member=members message=conversation subscription=payment", 0,
     0, "areas that differ from the types' beginnings"},
    {"extra_scopes", CONF_WORDS, OFFSET(extra_scopes), "", 0, 0, "further scopes that installation asks for"},
};

/* Every member is read and written by memcpy: its type depends on the kind of the key. */
static void *member_of(struct conf *conf, const struct conf_key *key)
{
    return (char *)conf + key->offset;
}

static const void *const_member_of(const struct conf *conf, const struct conf_key *key)
{
    return (const char *)conf + key->offset;
}

static bool is_text_kind(enum conf_kind kind)
{
    return kind == CONF_TEXT || kind == CONF_PATH || kind == CONF_HIDDEN || kind == CONF_TARGET || kind == CONF_URL ||
           kind == CONF_WORD || kind == CONF_WORDS;
}

/* ---- amounts: a number and perhaps a unit ---- */

struct amount_unit {
    char letter[2];
    uint64_t factor;
};

/* Largest first; the unit without a letter ends each list. */
static const struct amount_unit size_units[] = {{"G", GIB}, {"M", MIB}, {"k", KIB}, {"", 1}};
static const struct amount_unit time_units[] = {{"d", DAY}, {"h", HOUR}, {"m", 60}, {"", 1}};
static const struct amount_unit no_units[] = {{"", 1}};

static const struct amount_unit *units_of(enum conf_kind kind)
{
    if (kind == CONF_SIZE || kind == CONF_SPACE)
        return size_units;
    return kind == CONF_SECONDS ? time_units : no_units;
}

static bool parse_amount(const char *text, const struct amount_unit *unit, uint64_t *amount)
{
    unsigned long long number;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false; /* strtoull would accept blanks and signs */
    errno = 0;
    number = strtoull(text, &end, 10);
    while (*unit->letter != '\0' && strcasecmp(end, unit->letter) != 0)
        unit++;
    return errno == 0 && strcasecmp(end, unit->letter) == 0 &&
           !__builtin_mul_overflow((uint64_t)number, unit->factor, amount);
}

static void print_amount(uint64_t amount, const struct amount_unit *unit, char *text, size_t room)
{
    while (*unit->letter != '\0' && (amount == 0 || amount % unit->factor != 0))
        unit++;
    snprintf(text, room, "%ju%s", (uintmax_t)(amount / unit->factor), unit->letter);
}

static uint64_t amount_of(const struct conf *conf, const struct conf_key *key)
{
    const void *member = const_member_of(conf, key);
    unsigned number = 0;
    uint64_t space = 0;
    size_t size = 0;

    if (key->kind == CONF_SIZE)
        memcpy(&size, member, sizeof size);
    else if (key->kind == CONF_SPACE)
        memcpy(&space, member, sizeof space);
    else
        memcpy(&number, member, sizeof number);
    return size + space + number;
}

static bool set_amount(struct conf *conf, const struct conf_key *key, const char *value)
{
    void *member = member_of(conf, key);
    unsigned number;
    uint64_t amount;
    size_t size;

    if (!parse_amount(value, units_of(key->kind), &amount) || amount < key->min || amount > key->max)
        return false;
    size = (size_t)amount;
    number = (unsigned)amount;
    if (key->kind == CONF_SIZE)
        memcpy(member, &size, sizeof size);
    else if (key->kind == CONF_SPACE)
        memcpy(member, &amount, sizeof amount);
    else
        memcpy(member, &number, sizeof number);
    return true;
}

/* ---- texts and levels ---- */

static bool is_absolute_path(const char *value)
{
    const char *at = value;

    while (*at != '\0' && !iscntrl((unsigned char)*at))
        at++;
    return *value == '/' && *at == '\0' && at - value < PATH_MAX;
}

static bool is_graphic_ascii(const char *value)
{
    const char *at = value;

    while (*at > ' ' && *at < 0x7f)
        at++;
    return at > value && *at == '\0' && at - value < PATH_MAX;
}

/* Words that can be scopes (RFC 6749, section 3.3), with blanks between them. */
static bool is_words(const char *value)
{
    const char *at = value;

    while (((*at >= ' ' && *at < 0x7f) || *at == '\t') && *at != '"' && *at != '\\')
        at++;
    return *at == '\0' && at - value < PATH_MAX;
}

/* candhook.fcgi reads this too, and has no parser of URLs: it is enough to keep out user, query and fragment. */
static bool is_base_url(const char *value)
{
    size_t scheme = strncmp(value, "https://", 8) == 0 ? 8 : strncmp(value, "http://", 7) == 0 ? 7 : 0;
    const char *host = value + scheme;
    size_t length = strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]");

    return scheme > 0 && length > 0 && (host[length] == '/' || host[length] == '\0') && is_graphic_ascii(value) &&
           strpbrk(value, "?#\"\\") == NULL;
}

static bool allows_text(enum conf_kind kind, const char *value)
{
    if (kind == CONF_TEXT)
        return *value != '\0';
    if (kind == CONF_URL)
        return is_base_url(value);
    if (kind == CONF_WORD)
        return is_graphic_ascii(value);
    if (kind == CONF_WORDS)
        return is_words(value);
    return is_absolute_path(value) ||
           (kind == CONF_TARGET && (strcmp(value, "stderr") == 0 || strcmp(value, "syslog") == 0));
}

static bool set_text(struct conf *conf, const struct conf_key *key, const char *value)
{
    char *text;
    bool left_out = *value == '\0' && key->fallback != NULL && *key->fallback == '\0';

    if (!left_out && !allows_text(key->kind, value))
        return false;
    memcpy(&text, member_of(conf, key), sizeof text);
    free(text);
    text = memory_copy_text(value);
    memcpy(member_of(conf, key), &text, sizeof text);
    return true;
}

static bool set_switch(struct conf *conf, const struct conf_key *key, const char *value)
{
    bool on = strcmp(value, "yes") == 0;

    if (!on && strcmp(value, "no") != 0)
        return false;
    memcpy(member_of(conf, key), &on, sizeof on);
    return true;
}

static bool set_level(struct conf *conf, const struct conf_key *key, const char *value)
{
    enum log_level level;

    if (!log_level_parse(value, &level))
        return false;
    memcpy(member_of(conf, key), &level, sizeof level);
    return true;
}

/* ---- the functions of conf_keys.h ---- */

const struct conf_key *conf_key_find(const char *name)
{
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        if (strcmp(conf_keys[i].name, name) == 0)
            return &conf_keys[i];
    }
    return NULL;
}

bool conf_key_set(struct conf *conf, const struct conf_key *key, const char *value)
{
    if (is_text_kind(key->kind))
        return set_text(conf, key, value);
    if (key->kind == CONF_SWITCH)
        return set_switch(conf, key, value);
    return key->kind == CONF_LEVEL ? set_level(conf, key, value) : set_amount(conf, key, value);
}

const char *conf_key_text(const struct conf *conf, const struct conf_key *key)
{
    const char *text = NULL;

    if (is_text_kind(key->kind))
        memcpy(&text, const_member_of(conf, key), sizeof text);
    return text;
}

void conf_key_allowed(const struct conf_key *key, char *text, size_t room)
{
    const struct amount_unit *units = units_of(key->kind);
    char min[32], max[32];

    print_amount(key->min, units, min, sizeof min);
    print_amount(key->max, units, max, sizeof max);
    if (key->kind == CONF_TEXT)
        snprintf(text, room, "the %s", key->help);
    else if (key->kind == CONF_LEVEL)
        snprintf(text, room, "error, warning, info or debug");
    else if (key->kind == CONF_SWITCH)
        snprintf(text, room, "yes or no");
    else if (key->kind == CONF_TARGET)
        snprintf(text, room, "stderr, syslog or the absolute path of a file");
    else if (key->kind == CONF_URL)
        snprintf(text, room, "https://HOST/PATH or http://HOST/PATH, without user, query and fragment");
    else if (key->kind == CONF_WORD)
        snprintf(text, room, "printable characters without blanks");
    else if (key->kind == CONF_WORDS)
        snprintf(text, room, "words of printable characters without quotes and backslashes");
    else if (is_text_kind(key->kind))
        snprintf(text, room, "an absolute path, without quotes");
    else if (units == size_units)
        snprintf(text, room, "a size from %s to %s, in bytes or with k, M or G behind the number", min, max);
    else if (units == time_units)
        snprintf(text, room, "a time from %s to %s, in seconds or with m, h or d behind the number", min, max);
    else
        snprintf(text, room, "a number from %s to %s", min, max);
}

void conf_key_value(const struct conf *conf, const struct conf_key *key, char *text, size_t room)
{
    enum log_level level;

    if (key->kind == CONF_TEXT && *conf_key_text(conf, key) != '\0')
        snprintf(text, room, "(set)");
    else if (is_text_kind(key->kind))
        snprintf(text, room, "%s", conf_key_text(conf, key));
    else if (key->kind == CONF_SWITCH)
        snprintf(text, room, *(const bool *)const_member_of(conf, key) ? "yes" : "no");
    else if (key->kind != CONF_LEVEL)
        print_amount(amount_of(conf, key), units_of(key->kind), text, room);
    else {
        memcpy(&level, const_member_of(conf, key), sizeof level);
        snprintf(text, room, "%s", log_level_name(level));
    }
}

/* The edit distance (Levenshtein) of two names, in which upper case equals lower case. */
static unsigned name_distance(const char *a, const char *b)
{
    unsigned row[CONF_KEY_BYTES + 1];
    size_t width = strnlen(b, CONF_KEY_BYTES);

    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (; *a != '\0'; a++) {
        unsigned corner = row[0]++;

        for (size_t j = 1; j <= width; j++) {
            unsigned best = corner + (tolower((unsigned char)*a) != b[j - 1]);

            corner = row[j];
            best = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            row[j] = best < corner + 1 ? best : corner + 1;
        }
    }
    return row[width];
}

const struct conf_key *conf_key_near(const char *name)
{
    const struct conf_key *near = NULL;
    unsigned best = 3;

    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        unsigned far = name_distance(name, conf_keys[i].name);

        if (far < best) {
            best = far;
            near = &conf_keys[i];
        }
    }
    return near;
}

void conf_keys_free(struct conf *conf)
{
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        char *text;

        if (!is_text_kind(conf_keys[i].kind))
            continue;
        memcpy(&text, member_of(conf, &conf_keys[i]), sizeof text);
        if (text != NULL)
            explicit_bzero(text, strlen(text));
        free(text);
    }
}
