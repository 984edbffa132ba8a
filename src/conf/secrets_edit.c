/*
 * SPDX-License-Identifier: ISC
 *
 * Whoever changes the file holds the lock of PATH.new, has made it, and it still is the file that was locked: while we
 * waited, the holder before us may have renamed it over PATH, and then we start again. One that somebody else made is
 * removed, and never written to: it may be a link to another file, or be open for others.
 */
#include <config.h>

#include "conf/secrets_edit.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/private_file.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TIMEOUT_MS 10000
#define LOCK_RETRY_MS 20

struct secrets_edit {
    const char *path;
    char *new_path;
    int fd; /* of PATH.new, locked; -1 */
    uid_t owner;
    gid_t group;
    struct private_file file; /* PATH as it is; no text when there is none */
    struct secrets *secrets;  /* what it holds; NULL when there is none */
};

/* ---- the two files ---- */

/* Whether PATH still names the file that is open as FD. */
static bool is_still_named(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* Makes PATH.new, or opens the one that is there. Returns whether it was made; errno is ENOENT when it has just gone.
 */
static bool open_new_file(struct secrets_edit *edit)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

    edit->fd = open(edit->new_path, flags | O_CREAT | O_EXCL, 0600);
    if (edit->fd >= 0)
        return true;
    if (errno == EEXIST)
        edit->fd = open(edit->new_path, flags);
    return false;
}

static enum result lock_new_file(struct secrets_edit *edit, struct err *err)
{
    int64_t deadline = clock_monotonic_ms() + LOCK_TIMEOUT_MS;

    while (clock_monotonic_ms() < deadline) {
        bool made = open_new_file(edit), locked;

        if (edit->fd < 0 && errno != ENOENT) {
            err_set_errno(err,
                          "cannot write %s: run this as root, or put url_secrets into a folder that is the user's own",
                          edit->new_path);
            return RESULT_FAIL;
        }
        locked = edit->fd >= 0 && lock_take(edit->fd) && is_still_named(edit->fd, edit->new_path);
        if (locked && made)
            return RESULT_OK;
        if (locked)
            unlink(edit->new_path); /* of a program that died, or a stranger's */
        if (edit->fd >= 0)
            close(edit->fd);
        edit->fd = -1;
        if (!locked)
            signals_poll(NULL, 0, LOCK_RETRY_MS);
    }
    err_set(err, "another program has been changing %s for 10 s", edit->path);
    return RESULT_RETRY;
}

/* Reads the file, and checks that it is one of secrets. A missing one is no failure. */
static enum result read_old_file(struct secrets_edit *edit, struct err *err)
{
    static const struct private_file_rule rule = {
        .refused = S_IRWXG | S_IRWXO, .remedy = "chmod 600", .root_may_read = true, .max = SECRETS_FILE_BYTES};
    enum result result = private_file_read(edit->path, &rule, &edit->file, err);

    if (result != RESULT_OK)
        return edit->file.missing ? RESULT_OK : result;
    edit->owner = edit->file.stat.st_uid;
    edit->group = edit->file.stat.st_gid;
    return secrets_load_any(&edit->secrets, edit->path, err);
}

static enum result open_edit(struct secrets_edit *edit, const char *path, uid_t owner, struct err *err)
{
    enum result result;

    *edit = (struct secrets_edit){.path = path, .fd = -1, .owner = owner, .group = (gid_t)-1};
    edit->new_path = memory_format("%s.new", path);
    result = lock_new_file(edit, err);
    return result == RESULT_OK ? read_old_file(edit, err) : result;
}

static void close_edit(struct secrets_edit *edit)
{
    if (edit->fd >= 0 && is_still_named(edit->fd, edit->new_path))
        unlink(edit->new_path); /* while we hold its lock */
    if (edit->fd >= 0)
        close(edit->fd);
    secrets_free(edit->secrets);
    private_file_free(&edit->file);
    free(edit->new_path);
}

/* Replaces the file by one that holds TEXT. */
static enum result replace_file(struct secrets_edit *edit, const char *text, size_t length, struct err *err)
{
    if (fchmod(edit->fd, 0600) != 0 || (geteuid() == 0 && fchown(edit->fd, edit->owner, edit->group) != 0) ||
        !io_write_all(edit->fd, text, length) || fsync(edit->fd) != 0 || rename(edit->new_path, edit->path) != 0 ||
        !io_sync_parent(edit->path)) {
        err_set_errno(err, "cannot write %s", edit->path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

/* ---- the text ---- */

/* Whether a line, which ends with the text or a line feed, says `none`. */
static bool says_none(const char *line, size_t length)
{
    const char *word = line + strspn(line, " \t");
    size_t left = length - (size_t)(word - line), word_length = strlen(SECRETS_NONE);

    return left >= word_length && memcmp(word, SECRETS_NONE, word_length) == 0 &&
           strspn(word + word_length, " \t\r\n") >= left - word_length;
}

/* Writes the lines of the old text, without line number SKIP (0: none) and without any `none`. */
static void copy_lines(const struct private_file *file, unsigned skip, FILE *to)
{
    const char *at = file->text, *end = file->text + file->length;

    for (unsigned line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = newline != NULL ? (size_t)(newline - at) : (size_t)(end - at);

        if (line != skip && !says_none(at, length)) {
            fwrite(at, 1, length, to);
            putc('\n', to);
        }
        at += length + 1;
    }
}

/* Rewrites the file without line SKIP (0: none), and with LAST behind all lines. */
static enum result rewrite_file(struct secrets_edit *edit, unsigned skip, const char *last, struct err *err)
{
    enum result result = RESULT_FAIL;
    char *text;
    size_t length;
    FILE *to = memory_open_stream(&text, &length);

    if (edit->file.text != NULL)
        copy_lines(&edit->file, skip, to);
    fputs(last, to);
    memory_close_stream(to);
    if (length <= SECRETS_FILE_BYTES)
        result = replace_file(edit, text, length, err);
    else
        err_set(err, "%s would be longer than it may be: take out what is not needed", edit->path);
    explicit_bzero(text, length);
    free(text);
    return result;
}

/* ---- adding ---- */

static enum result check_label_is_new(const struct secrets_edit *edit, const char *label, struct err *err)
{
    size_t count = edit->secrets != NULL ? secrets_count(edit->secrets) : 0;

    for (size_t i = 0; i < count && *label != '\0'; i++) {
        if (strcmp(secrets_label(edit->secrets, i), label) == 0) {
            err_set(err, "there is a secret with the label %s already: take another label, or retire that one", label);
            return RESULT_FAIL;
        }
    }
    if (count < SECRETS_MAX)
        return RESULT_OK;
    err_set(err, "%s holds %zu secrets, and more are not taken: retire one", edit->path, count);
    return RESULT_FAIL;
}

enum result secrets_add(const char *path, uid_t owner, const char *secret, const char *label, struct err *err)
{
    struct secrets_edit edit;
    enum result result = open_edit(&edit, path, owner, err);

    if (result == RESULT_OK)
        result = check_label_is_new(&edit, label, err);
    if (result == RESULT_OK) {
        char made[CLOCK_TEXT_BYTES];
        char *line = memory_format("%s%s%s %s\n", secret, *label != '\0' ? " " : "", label,
                                   clock_text_seconds(clock_real_ms(), made));

        result = rewrite_file(&edit, 0, line, err);
        explicit_bzero(line, strlen(line));
        free(line);
    }
    close_edit(&edit);
    return result;
}

/* ---- removing ---- */

/* Writes "one (X9f-...), two (a1B2...)". */
static void list_secrets(const struct secrets *secrets, char *text, size_t room)
{
    size_t length = 0;

    *text = '\0';
    for (size_t i = 0; i < secrets_count(secrets) && length < room; i++) {
        struct secrets_about about;

        secrets_tell(secrets, i, &about);
        length += (size_t)snprintf(text + length, room - length, "%s%s (%s...)", i > 0 ? ", " : "",
                                   *about.label != '\0' ? about.label : "no label", about.shown);
    }
}

/* Whether WHICH is the first characters that are shown, perhaps with the dots behind them. */
static bool is_start_shown(const char *shown, const char *which)
{
    return strncmp(shown, which, SECRETS_SHOWN) == 0 &&
           (which[SECRETS_SHOWN] == '\0' || strcmp(which + SECRETS_SHOWN, "...") == 0);
}

/* Finds the secret whose label is WHICH, otherwise the one that begins so. */
static enum result find_secret(const struct secrets *secrets, const char *which, struct secrets_about *found,
                               struct err *err)
{
    size_t by_label = 0, by_start = 0;
    struct secrets_about about, start;
    char all[700];

    for (size_t i = 0; i < secrets_count(secrets); i++) {
        secrets_tell(secrets, i, &about);
        if (*which != '\0' && strcmp(about.label, which) == 0 && by_label++ == 0)
            *found = about;
        if (is_start_shown(about.shown, which) && by_start++ == 0)
            start = about;
    }
    if (by_label == 0 && by_start == 1)
        *found = start;
    if (by_label == 1 || (by_label == 0 && by_start == 1))
        return RESULT_OK;
    list_secrets(secrets, all, sizeof all);
    if (by_label > 1 || by_start > 1)
        err_set(err, "%s is more than one: %s; take the other of the two names, or edit the file", which, all);
    else
        err_set(err, "there is no secret of that label or beginning; there are: %s", all);
    return RESULT_FAIL;
}

/* Finds the secret to take out. */
static enum result find_removable(const struct secrets_edit *edit, const char *which, bool force,
                                  struct secrets_about *found, struct err *err)
{
    size_t count = edit->secrets != NULL ? secrets_count(edit->secrets) : 0;

    if (count == 0) {
        err_set(err, "%s holds no URL secret", edit->path);
        return RESULT_FAIL;
    }
    if (find_secret(edit->secrets, which, found, err) != RESULT_OK)
        return RESULT_FAIL;
    if (count > 1 || force)
        return RESULT_OK;
    err_set(err, "it is the last one: without it every event is refused; make another first (candhook url new), or say "
                 "--force");
    return RESULT_FAIL;
}

enum result secrets_remove(const char *path, const char *which, bool force, char name[SECRETS_NAME_BYTES],
                           struct err *err)
{
    struct secrets_about about;
    struct secrets_edit edit;
    enum result result = open_edit(&edit, path, geteuid(), err);

    if (result == RESULT_OK)
        result = find_removable(&edit, which, force, &about, err);
    if (result == RESULT_OK) {
        memcpy(name, about.name, SECRETS_NAME_BYTES);
        result = rewrite_file(&edit, about.line, secrets_count(edit.secrets) == 1 ? SECRETS_NONE "\n" : "", err);
    }
    close_edit(&edit);
    return result;
}
