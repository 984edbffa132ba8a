/*
 * SPDX-License-Identifier: ISC
 *
 * Each secret is kept in a block of SECRET_ROOM bytes, padded with NULs, and a candidate is copied into such a block. A
 * comparison covers both blocks whole, and the match is found without a branch, so that the time tells neither the
 * length of a secret, nor how much of it was guessed, nor which one matched.
 *
 * A file that changed a moment ago can change again without a trace in its times, so it is read again until it has been
 * unchanged for SETTLE_SECONDS.
 */
#include <config.h>

#include "conf/secrets.h"

#include "base/memory.h"
#include "base/private_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SECRET_ROOM 256 /* a multiple of 8: the longest secret and a NUL */
#define SETTLE_SECONDS 2
#define USE_INTERVAL_MS 60000 /* between two records of the use of a secret */
#define HOW_TO_MAKE_ONE "make one: candhook url new"

struct secret {
    uint64_t block[SECRET_ROOM / sizeof(uint64_t)];
    unsigned line;
    char label[SECRETS_LABEL_BYTES + 1];
    char made[SECRETS_TIME_BYTES];
    int64_t recorded_use_ms; /* when its use was last recorded; 0: not yet */
};

/* By which a change of the file is noticed; all zero when there is no file. */
struct file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct secrets {
    char *path;
    struct secret *list; /* room for SECRETS_MAX, or NULL */
    size_t count;
    bool for_people;               /* root reads any user's file, and a file without a secret is no failure */
    bool none;                     /* the file says that there is none on purpose */
    struct file_identity identity; /* when the file was last read, with or without success */
    bool settled;                  /* whether the file had been unchanged for SETTLE_SECONDS then */
};

/* ---- one line ---- */

static bool are_unreserved(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && (text[i] == '\0' || strchr("-_.~", text[i]) == NULL))
            return false;
    }
    return true;
}

bool secrets_is_label(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= SECRETS_LABEL_BYTES && are_unreserved(text, length);
}

/* The rest of a line. */
struct line_rest {
    const char *at, *end;
};

static bool is_line_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static size_t next_field(struct line_rest *rest, const char **field)
{
    while (rest->at < rest->end && is_line_blank(*rest->at))
        rest->at++;
    *field = rest->at;
    while (rest->at < rest->end && !is_line_blank(*rest->at))
        rest->at++;
    return (size_t)(rest->at - *field);
}

/* The fields of a line; a length is 0 where there is none. */
struct secret_fields {
    const char *secret, *label, *made;
    size_t secret_length, label_length, made_length;
    bool more;
};

/* A time differs from a label by its colons, which a label cannot hold. */
static struct secret_fields split_secret_line(struct line_rest rest)
{
    struct secret_fields fields = {0};
    const char *more;

    fields.secret_length = next_field(&rest, &fields.secret);
    fields.label_length = next_field(&rest, &fields.label);
    if (memchr(fields.label, ':', fields.label_length) != NULL) {
        fields.made = fields.label;
        fields.made_length = fields.label_length;
        fields.label_length = 0;
    } else {
        fields.made_length = next_field(&rest, &fields.made);
    }
    fields.more = next_field(&rest, &more) > 0;
    return fields;
}

/* Whether it begins like 2026-01-31T12:00:00, and goes on with Z, a fraction, or an offset from UTC. */
static bool is_rfc3339_time(const char *text, size_t length)
{
    static const char shape[] = "0000-00-00T00:00:00";

    if (length < sizeof shape || length >= SECRETS_TIME_BYTES)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
            return false;
    }
    return strspn(text + sizeof shape - 1, "0123456789.:+-Z") >= length - (sizeof shape - 1);
}

/* Returns what is wrong with a line, or NULL. It never shows a field: each may be a secret. */
static const char *find_secret_fault(const struct secret_fields *fields)
{
    if (!are_unreserved(fields->secret, fields->secret_length))
        return "a secret may hold only A-Z a-z 0-9 - _ . ~, which stand in a URL as they are";
    if (fields->secret_length < SECRETS_MIN_BYTES || fields->secret_length >= SECRET_ROOM)
        return "a secret must have 16 to 255 characters";
    if (!are_unreserved(fields->label, fields->label_length))
        return "a label may hold only A-Z a-z 0-9 - _ . ~ (a comment needs a line of its own)";
    if (fields->label_length > SECRETS_LABEL_BYTES)
        return "a label may have at most 64 characters";
    if (fields->made_length > 0 && !is_rfc3339_time(fields->made, fields->made_length))
        return "more than a secret, a label, and a time as 2026-01-31T12:00:00Z (a comment needs a line of its own)";
    return fields->more ? "more than a secret, a label and a time (a comment needs a line of its own)" : NULL;
}

static enum result check_secret_is_new(const struct secrets *secrets, struct err *err)
{
    const struct secret *last = &secrets->list[secrets->count - 1];

    for (const struct secret *other = secrets->list; other < last; other++) {
        if (memcmp(other->block, last->block, sizeof last->block) == 0) {
            err_set(err, "%s:%u: the secret of line %u again", secrets->path, last->line, other->line);
            return RESULT_FAIL;
        }
    }
    return RESULT_OK;
}

static bool is_none_line(const struct secret_fields *fields)
{
    return fields->secret_length == strlen(SECRETS_NONE) && fields->label_length == 0 &&
           memcmp(fields->secret, SECRETS_NONE, fields->secret_length) == 0;
}

static enum result add_secret_line(struct secrets *secrets, struct line_rest text, unsigned line, struct err *err)
{
    struct secret_fields fields = split_secret_line(text);
    struct secret *new = &secrets->list[secrets->count];
    const char *fault;

    if (fields.secret_length == 0 || *fields.secret == '#')
        return RESULT_OK;
    if (is_none_line(&fields)) {
        secrets->none = true;
        return RESULT_OK;
    }
    fault = find_secret_fault(&fields);
    if (fault == NULL && secrets->count == SECRETS_MAX)
        fault = "more than 100 secrets";
    if (fault != NULL) {
        err_set(err, "%s:%u: %s", secrets->path, line, fault);
        return RESULT_FAIL;
    }
    secrets->count++;
    new->line = line;
    memcpy(new->block, fields.secret, fields.secret_length);
    memcpy(new->label, fields.label, fields.label_length);
    memcpy(new->made, fields.made, fields.made_length);
    return check_secret_is_new(secrets, err);
}

/* ---- the file ---- */

static enum result add_secret_lines(struct secrets *secrets, const struct private_file *file, struct err *err)
{
    struct line_rest text = {.at = file->text};
    const char *end = file->text + file->length;
    enum result result = RESULT_OK;

    secrets->list = memory_new(SECRETS_MAX, sizeof *secrets->list);
    for (unsigned line = 1; text.at < end && result == RESULT_OK; line++) {
        text.end = memchr(text.at, '\n', (size_t)(end - text.at));
        if (text.end == NULL)
            text.end = end;
        result = add_secret_line(secrets, text, line, err);
        text.at = text.end + 1;
    }
    if (result == RESULT_OK && secrets->count == 0 && !secrets->none && !secrets->for_people) {
        err_set(err, "%s holds no URL secret; " HOW_TO_MAKE_ONE, secrets->path);
        result = RESULT_FAIL;
    }
    return result;
}

static struct file_identity identity_of(const struct stat *st)
{
    return (struct file_identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same_identity(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

static struct file_identity identity_at(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? identity_of(&st) : (struct file_identity){0};
}

static void note_identity(struct secrets *secrets, struct file_identity identity)
{
    secrets->identity = identity;
    secrets->settled = identity.inode == 0 || time(NULL) - identity.changed.tv_sec >= SETTLE_SECONDS;
}

static void forget_secrets(struct secrets *secrets)
{
    if (secrets->list != NULL)
        explicit_bzero(secrets->list, SECRETS_MAX * sizeof *secrets->list);
    free(secrets->list);
    secrets->list = NULL;
    secrets->count = 0;
}

/* Reads the file into SECRETS, which hold none yet. */
static enum result read_secrets(struct secrets *secrets, struct err *err)
{
    const struct private_file_rule rule = {.refused = S_IRWXG | S_IRWXO,
                                           .remedy = "chmod 600",
                                           .root_may_read = secrets->for_people,
                                           .max = SECRETS_FILE_BYTES};
    struct private_file file;
    enum result result;

    note_identity(secrets, identity_at(secrets->path));
    result = private_file_read(secrets->path, &rule, &file, err);
    if (result == RESULT_OK) {
        note_identity(secrets, identity_of(&file.stat));
        result = add_secret_lines(secrets, &file, err);
        private_file_free(&file);
    } else if (file.missing) {
        err_set(err, "there is no file of URL secrets %s; " HOW_TO_MAKE_ONE, secrets->path);
    }
    if (result != RESULT_OK)
        forget_secrets(secrets);
    return result;
}

static enum result load_secrets(struct secrets **out, const char *path, bool for_people, struct err *err)
{
    struct secrets *secrets = memory_new(1, sizeof *secrets);

    secrets->path = memory_copy_text(path);
    secrets->for_people = for_people;
    if (read_secrets(secrets, err) != RESULT_OK) {
        secrets_free(secrets);
        return RESULT_FAIL;
    }
    *out = secrets;
    return RESULT_OK;
}

enum result secrets_load(struct secrets **out, const char *path, struct err *err)
{
    return load_secrets(out, path, false, err);
}

enum result secrets_load_any(struct secrets **out, const char *path, struct err *err)
{
    return load_secrets(out, path, true, err);
}

enum result secrets_refresh(struct secrets *secrets, struct err *err)
{
    struct file_identity now = identity_at(secrets->path);
    struct secrets fresh = {.path = secrets->path, .for_people = secrets->for_people};
    bool changed = !is_same_identity(&now, &secrets->identity);
    enum result result;

    if (!changed && secrets->settled)
        return RESULT_OK;
    result = read_secrets(&fresh, err);
    changed = changed || !is_same_identity(&fresh.identity, &secrets->identity);
    if (result == RESULT_OK) {
        forget_secrets(secrets);
        *secrets = fresh;
    } else {
        secrets->identity = fresh.identity;
        secrets->settled = fresh.settled;
    }
    return changed ? result : RESULT_OK;
}

/* ---- comparing ---- */

/*
 * Returns all ones when the blocks are equal, else 0. The loop has no early end: what is volatile must get the exact
 * value, which depends on every word.
 */
static size_t equal_blocks_mask(const uint64_t *a, const uint64_t *b)
{
    uint64_t difference = 0;
    volatile uint64_t exact;

    for (size_t i = 0; i < SECRET_ROOM / sizeof *a; i++)
        difference |= a[i] ^ b[i];
    exact = difference;
    difference = exact;
    return (size_t)((difference | (0 - difference)) >> 63) - 1;
}

const char *secrets_match(const struct secrets *secrets, const char *uri)
{
    uint64_t candidate[SECRET_ROOM / sizeof(uint64_t)] = {0};
    size_t path_length = strcspn(uri, "?"), found = 0;
    const char *slash = memrchr(uri, '/', path_length), *segment = slash != NULL ? slash + 1 : uri;
    size_t length = path_length - (size_t)(segment - uri);

    if (length == 0 || length >= SECRET_ROOM)
        return NULL; /* no secret has such a length, which is no secret either */
    memcpy(candidate, segment, length);
    for (size_t i = 0; i < secrets->count; i++)
        found |= equal_blocks_mask(candidate, secrets->list[i].block) & (i + 1);
    explicit_bzero(candidate, sizeof candidate);
    return found != 0 ? secrets->list[found - 1].label : NULL;
}

/* ---- what is known of each ---- */

size_t secrets_count(const struct secrets *secrets)
{
    return secrets->count;
}

const char *secrets_label(const struct secrets *secrets, size_t index)
{
    return secrets->list[index].label;
}

const char *secrets_text(const struct secrets *secrets, size_t index)
{
    return (const char *)secrets->list[index].block;
}

static void write_secret_name(const struct secret *secret, char name[SECRETS_NAME_BYTES])
{
    snprintf(name, SECRETS_NAME_BYTES, "%s=%.*s", secret->label, SECRETS_SHOWN, (const char *)secret->block);
}

void secrets_tell(const struct secrets *secrets, size_t index, struct secrets_about *about)
{
    const struct secret *secret = &secrets->list[index];
    const char *text = secrets_text(secrets, index);

    about->label = secret->label;
    about->made = secret->made;
    about->length = strlen(text);
    about->line = secret->line;
    snprintf(about->shown, sizeof about->shown, "%.*s", SECRETS_SHOWN, text);
    write_secret_name(secret, about->name);
}

bool secrets_note_use(struct secrets *secrets, const char *label, int64_t now_ms, char name[SECRETS_NAME_BYTES])
{
    struct secret *secret = secrets->list, *end = secrets->list + secrets->count;

    while (secret < end && secret->label != label)
        secret++;
    if (secret == end || (secret->recorded_use_ms != 0 && now_ms - secret->recorded_use_ms < USE_INTERVAL_MS))
        return false;
    secret->recorded_use_ms = now_ms;
    write_secret_name(secret, name);
    return true;
}

void secrets_free(struct secrets *secrets)
{
    if (secrets == NULL)
        return;
    forget_secrets(secrets);
    free(secrets->path);
    free(secrets);
}
