/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "conf/secrets_edit.h"

#include "base/clock.h"
#include "base/file_edit.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct secrets_edit {
    struct file_edit file;
    struct secrets *secrets; /* what the file holds; NULL when there is none */
};

/* Opens the file, and checks that it is one of secrets. */
static enum result open_secrets_edit(struct secrets_edit *edit, const char *path, uid_t owner, struct err *err)
{
    enum result result;

    *edit = (struct secrets_edit){
        .file = {.path = path, .setting = "url_secrets", .max = SECRETS_FILE_BYTES, .owner = owner}};
    result = file_edit_open(&edit->file, err);
    if (result == RESULT_OK && edit->file.old.text != NULL)
        result = secrets_load_any(&edit->secrets, path, err);
    return result;
}

static void close_secrets_edit(struct secrets_edit *edit)
{
    secrets_free(edit->secrets);
    file_edit_close(&edit->file);
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
static void copy_secret_lines(const struct private_file *file, unsigned skip, FILE *to)
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
static enum result rewrite_secrets(struct secrets_edit *edit, unsigned skip, const char *last, struct err *err)
{
    enum result result;
    char *text;
    size_t length;
    FILE *to = memory_open_stream(&text, &length);

    if (edit->file.old.text != NULL)
        copy_secret_lines(&edit->file.old, skip, to);
    fputs(last, to);
    memory_close_stream(to);
    result = file_edit_replace(&edit->file, text, length, err);
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
    err_set(err, "%s holds %zu secrets, and more are not taken: retire one", edit->file.path, count);
    return RESULT_FAIL;
}

enum result secrets_add(const char *path, uid_t owner, const char *secret, const char *label, struct err *err)
{
    struct secrets_edit edit;
    enum result result = open_secrets_edit(&edit, path, owner, err);

    if (result == RESULT_OK)
        result = check_label_is_new(&edit, label, err);
    if (result == RESULT_OK) {
        char made[CLOCK_TEXT_BYTES];
        char *line = memory_format("%s%s%s %s\n", secret, *label != '\0' ? " " : "", label,
                                   clock_text_seconds(clock_real_ms(), made));

        result = rewrite_secrets(&edit, 0, line, err);
        explicit_bzero(line, strlen(line));
        free(line);
    }
    close_secrets_edit(&edit);
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
        err_set(err, "%s holds no URL secret", edit->file.path);
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
    enum result result = open_secrets_edit(&edit, path, geteuid(), err);

    if (result == RESULT_OK)
        result = find_removable(&edit, which, force, &about, err);
    if (result == RESULT_OK) {
        memcpy(name, about.name, SECRETS_NAME_BYTES);
        result = rewrite_secrets(&edit, about.line, secrets_count(edit.secrets) == 1 ? SECRETS_NONE "\n" : "", err);
    }
    close_secrets_edit(&edit);
    return result;
}
