/*
 * SPDX-License-Identifier: ISC
 *
 * The URL secrets. Each is kept in a block of SECRET_ROOM bytes, padded with NULs, and so is the candidate: a
 * comparison goes over the whole of both blocks, and the choice of the label is made without a branch, so that neither
 * the length of a secret, nor how much of it was guessed, nor which one matched can be told from the time.
 *
 * A file that changed a moment ago may change again without a trace in its times, so it is read again until it has been
 * left alone for SETTLE_SECONDS.
 */
#include <config.h>

#include "conf/secrets.h"

#include "base/private_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SECRET_ROOM 256 /* a multiple of 8; the longest secret and a NUL */
#define SETTLE_SECONDS 2
#define MAKE_ONE "make one: candhook url new"
#define NOTE_MS 60000 /* between two notes of the use of a secret */

struct secret {
    uint64_t block[SECRET_ROOM / sizeof(uint64_t)];
    unsigned line;
    char label[SECRETS_LABEL_BYTES + 1];
    char made[SECRETS_TIME_BYTES];
    int64_t noted; /* when its use was written down last; 0: not yet */
};

/* What is known of the file from outside; all zero when it is not there. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct secrets {
    char *path;
    struct secret *list; /* room for SECRETS_MAX, or NULL */
    size_t count;
    int for_any;          /* root reads the file of any user, and none is fine */
    int none;             /* the file says that it holds none on purpose */
    struct identity seen; /* when it was last read, well or badly */
    int settled;          /* whether it had been left alone by then */
};

/* ---- reading ---- */

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int is_unreserved(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-_.~", c) != NULL);
}

static int all_unreserved(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_unreserved(text[i]))
            return 0;
    }
    return 1;
}

bool secrets_is_label(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= SECRETS_LABEL_BYTES && all_unreserved(text, length);
}

/* One line being taken apart. */
struct cursor {
    const char *at, *end;
};

static size_t next_word(struct cursor *cursor, const char **word)
{
    while (cursor->at < cursor->end && is_space(*cursor->at))
        cursor->at++;
    *word = cursor->at;
    while (cursor->at < cursor->end && !is_space(*cursor->at))
        cursor->at++;
    return (size_t)(cursor->at - *word);
}

/* What a line holds. */
struct words {
    const char *secret, *label, *made;
    size_t secret_length, label_length, made_length;
    int more;
};

/* A time is told from a label by its colons, which no label may hold. */
static struct words take_words(struct cursor *cursor)
{
    struct words words = {0};
    const char *rest;

    words.secret_length = next_word(cursor, &words.secret);
    words.label_length = next_word(cursor, &words.label);
    if (memchr(words.label, ':', words.label_length) != NULL) {
        words.made = words.label;
        words.made_length = words.label_length;
        words.label_length = 0;
    } else {
        words.made_length = next_word(cursor, &words.made);
    }
    words.more = next_word(cursor, &rest) > 0;
    return words;
}

/* Whether it begins like 2026-01-31T12:00:00 and ends with Z, a fraction, or a difference to UTC. */
static int is_time(const char *text, size_t length)
{
    static const char shape[] = "0000-00-00T00:00:00";

    if (length < sizeof shape || length >= SECRETS_TIME_BYTES)
        return 0;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
            return 0;
    }
    return strspn(text + sizeof shape - 1, "0123456789.:+-Z") >= length - (sizeof shape - 1);
}

/* What is wrong with a line's words, or NULL. It never shows them: they may be a secret. */
static const char *fault_of(const struct words *words)
{
    if (!all_unreserved(words->secret, words->secret_length))
        return "a secret may hold only A-Z a-z 0-9 - _ . ~, which stand in a URL as they are";
    if (words->secret_length < SECRETS_MIN_BYTES || words->secret_length >= SECRET_ROOM)
        return "a secret must have 16 to 255 characters";
    if (!all_unreserved(words->label, words->label_length))
        return "a label may hold only A-Z a-z 0-9 - _ . ~ (a comment needs a line of its own)";
    if (words->label_length > SECRETS_LABEL_BYTES)
        return "a label may have at most 64 characters";
    if (words->made_length > 0 && !is_time(words->made, words->made_length))
        return "more than a secret, a label, and a time as 2026-01-31T12:00:00Z (a comment needs a line of its own)";
    return words->more ? "more than a secret, a label and a time (a comment needs a line of its own)" : NULL;
}

static enum result check_twice(const struct secrets *secrets, struct err *err)
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

static enum result take_line(struct secrets *secrets, struct cursor cursor, unsigned line, struct err *err)
{
    struct words words = take_words(&cursor);
    struct secret *new = &secrets->list[secrets->count];
    const char *fault;

    if (words.secret_length == 0 || *words.secret == '#')
        return RESULT_OK;
    if (words.secret_length == strlen(SECRETS_NONE) && memcmp(words.secret, SECRETS_NONE, words.secret_length) == 0 &&
        words.label_length == 0) {
        secrets->none = 1;
        return RESULT_OK;
    }
    fault = fault_of(&words);
    if (fault == NULL && secrets->count == SECRETS_MAX)
        fault = "more than 100 secrets";
    if (fault != NULL) {
        err_set(err, "%s:%u: %s", secrets->path, line, fault);
        return RESULT_FAIL;
    }
    secrets->count++;
    new->line = line;
    memcpy(new->block, words.secret, words.secret_length);
    memcpy(new->label, words.label, words.label_length);
    memcpy(new->made, words.made, words.made_length);
    return check_twice(secrets, err);
}

static enum result take_lines(struct secrets *secrets, const struct private_file *file, struct err *err)
{
    struct cursor cursor = {file->text, file->text};
    const char *end = file->text + file->length;
    enum result result = RESULT_OK;

    secrets->list = calloc(SECRETS_MAX, sizeof *secrets->list);
    if (secrets->list == NULL)
        abort();
    for (unsigned line = 1; cursor.at < end && result == RESULT_OK; line++) {
        cursor.end = memchr(cursor.at, '\n', (size_t)(end - cursor.at));
        if (cursor.end == NULL)
            cursor.end = end;
        result = take_line(secrets, cursor, line, err);
        cursor.at = cursor.end + 1;
    }
    if (result == RESULT_OK && secrets->count == 0 && !secrets->none && !secrets->for_any) {
        err_set(err, "%s holds no URL secret; " MAKE_ONE, secrets->path);
        result = RESULT_FAIL;
    }
    return result;
}

static struct identity identity_of(const struct stat *st)
{
    return (struct identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static int same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int same_identity(const struct identity *a, const struct identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static struct identity look(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? identity_of(&st) : (struct identity){0};
}

static int is_settled(const struct identity *identity)
{
    return identity->inode == 0 || time(NULL) - identity->changed.tv_sec >= SETTLE_SECONDS;
}

static void drop_list(struct secrets *secrets)
{
    if (secrets->list != NULL)
        explicit_bzero(secrets->list, SECRETS_MAX * sizeof *secrets->list);
    free(secrets->list);
    secrets->list = NULL;
    secrets->count = 0;
}

/* Reads the file into SECRETS, which hold none yet. */
static enum result read_file(struct secrets *secrets, struct err *err)
{
    const struct private_file_rule rule = {.refused = S_IRWXG | S_IRWXO,
                                           .remedy = "chmod 600",
                                           .root_may_read = secrets->for_any,
                                           .max = SECRETS_FILE_BYTES};
    struct private_file file;
    enum result result;

    secrets->seen = look(secrets->path);
    secrets->settled = is_settled(&secrets->seen);
    result = private_file_read(secrets->path, &rule, &file, err);
    if (result == RESULT_OK) {
        secrets->seen = identity_of(&file.stat);
        secrets->settled = is_settled(&secrets->seen);
        result = take_lines(secrets, &file, err);
        private_file_free(&file);
    } else if (errno == ENOENT) {
        err_set(err, "there is no file of URL secrets %s; " MAKE_ONE, secrets->path);
    }
    if (result != RESULT_OK)
        drop_list(secrets);
    return result;
}

static enum result load(struct secrets **out, const char *path, int for_any, struct err *err)
{
    struct secrets *secrets = calloc(1, sizeof *secrets);

    if (secrets == NULL || (secrets->path = strdup(path)) == NULL)
        abort();
    secrets->for_any = for_any;
    if (read_file(secrets, err) != RESULT_OK) {
        secrets_free(secrets);
        return RESULT_FAIL;
    }
    *out = secrets;
    return RESULT_OK;
}

enum result secrets_load(struct secrets **out, const char *path, struct err *err)
{
    return load(out, path, 0, err);
}

enum result secrets_load_any(struct secrets **out, const char *path, struct err *err)
{
    return load(out, path, 1, err);
}

enum result secrets_refresh(struct secrets *secrets, struct err *err)
{
    struct identity now = look(secrets->path);
    struct secrets fresh = {.path = secrets->path, .for_any = secrets->for_any};
    int changed = !same_identity(&now, &secrets->seen);
    enum result result;

    if (!changed && secrets->settled)
        return RESULT_OK;
    result = read_file(&fresh, err);
    changed = changed || !same_identity(&fresh.seen, &secrets->seen);
    if (result == RESULT_OK) {
        drop_list(secrets);
        *secrets = fresh;
    } else {
        secrets->seen = fresh.seen;
        secrets->settled = fresh.settled;
    }
    return changed ? result : RESULT_OK;
}

/* ---- comparing ---- */

/* All ones when the blocks are equal, else 0. The empty asm keeps the compiler from making a branch of it. */
static size_t equal_mask(const uint64_t *a, const uint64_t *b)
{
    uint64_t differing = 0;

    for (size_t i = 0; i < SECRET_ROOM / sizeof *a; i++) {
        differing |= a[i] ^ b[i];
        __asm__ volatile("" : "+r"(differing));
    }
    return (size_t)((differing | (0 - differing)) >> 63) - 1;
}

const char *secrets_match(const struct secrets *secrets, const char *uri)
{
    uint64_t candidate[SECRET_ROOM / sizeof(uint64_t)] = {0};
    size_t path_length = strcspn(uri, "?"), found = 0;
    const char *slash = memrchr(uri, '/', path_length), *segment = slash != NULL ? slash + 1 : uri;
    size_t length = path_length - (size_t)(segment - uri);

    if (length == 0 || length >= SECRET_ROOM)
        return NULL; /* no secret is so short or so long, and that is no secret */
    memcpy(candidate, segment, length);
    for (size_t i = 0; i < secrets->count; i++)
        found |= equal_mask(candidate, secrets->list[i].block) & (i + 1);
    explicit_bzero(candidate, sizeof candidate);
    return found != 0 ? secrets->list[found - 1].label : NULL;
}

size_t secrets_count(const struct secrets *secrets)
{
    return secrets->count;
}

const char *secrets_label(const struct secrets *secrets, size_t which)
{
    return secrets->list[which].label;
}

const char *secrets_text(const struct secrets *secrets, size_t which)
{
    return (const char *)secrets->list[which].block;
}

static void write_name(const struct secret *secret, char name[SECRETS_NAME_BYTES])
{
    snprintf(name, SECRETS_NAME_BYTES, "%s=%.*s", secret->label, SECRETS_SHOWN, (const char *)secret->block);
}

void secrets_tell(const struct secrets *secrets, size_t which, struct secrets_about *about)
{
    const struct secret *secret = &secrets->list[which];

    about->label = secret->label;
    about->made = secret->made;
    about->length = strlen((const char *)secret->block);
    about->line = secret->line;
    snprintf(about->shown, sizeof about->shown, "%s", (const char *)secret->block);
    write_name(secret, about->name);
}

int secrets_note_use(struct secrets *secrets, const char *label, int64_t now_ms, char name[SECRETS_NAME_BYTES])
{
    size_t which = 0;

    while (which < secrets->count && secrets->list[which].label != label)
        which++;
    if (which == secrets->count || (secrets->list[which].noted != 0 && now_ms - secrets->list[which].noted < NOTE_MS))
        return 0;
    secrets->list[which].noted = now_ms;
    write_name(&secrets->list[which], name);
    return 1;
}

void secrets_free(struct secrets *secrets)
{
    if (secrets == NULL)
        return;
    drop_list(secrets);
    free(secrets->path);
    free(secrets);
}
