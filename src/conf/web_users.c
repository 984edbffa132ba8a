/*
 * SPDX-License-Identifier: ISC
 *
 * The file is read whole each time, and a fault in any line refuses all of it. A changed or removed user is therefore
 * another one at the next request. No message shows a name or a hash of the file.
 */
#include <config.h>

#include "conf/web_users.h"

#include "base/digest.h"
#include "base/file_edit.h"
#include "base/memory.h"
#include "base/private_file.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define YESCRYPT "$y$"
#define YESCRYPT_COST 5        /* that of NO_USER, too: both have to take the same time */
#define YESCRYPT_SALT_BYTES 86 /* longest salt, encoded */
#define YESCRYPT_HASH_BYTES 43

/* What the password of a user who does not exist is compared with. */
#define NO_USER "$y$j9T$xkrfEdL01j7weAEVACI5F.$f41eu8H9XIkDUYdmC34Wbtiv5L1C80Sw2/fJNsX5cw7"

struct web_user_line {
    struct web_user user;
    char *hash;
    unsigned line;
    size_t start, end; /* in the file's text; the line feed belongs to it */
};

struct web_users {
    const char *path; /* borrowed, while it is read */
    struct web_user_line *lines;
    size_t count;
};

/* ---- one line ---- */

bool web_users_is_name(const char *text)
{
    size_t length = strspn(text, LETTERS "._@-");

    return length > 0 && length < WEB_USER_NAME_BYTES && text[length] == '\0' && *text != '-';
}

bool web_users_is_password(const char *text)
{
    size_t length = strlen(text);

    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    }
    return length >= WEB_USERS_PASSWORD_MIN && length <= WEB_USERS_PASSWORD_MAX;
}

/* Whether TEXT is $y$PARAMETERS$SALT$HASH. */
static bool is_yescrypt_hash(const char *text)
{
    static const char characters[] = LETTERS "./";
    size_t length;

    if (strncmp(text, YESCRYPT, strlen(YESCRYPT)) != 0 || strlen(text) >= CRYPT_OUTPUT_SIZE)
        return false;
    text += strlen(YESCRYPT);
    length = strspn(text, characters);
    if (length == 0 || text[length] != '$')
        return false;
    text += length + 1;
    length = strspn(text, characters);
    if (length == 0 || length > YESCRYPT_SALT_BYTES || text[length] != '$')
        return false;
    text += length + 1;
    return strspn(text, characters) == YESCRYPT_HASH_BYTES && text[YESCRYPT_HASH_BYTES] == '\0';
}

static const char *right_text(bool read_only)
{
    return read_only ? "read-only" : "full";
}

/* Splits a line in place. Returns the number of words, of which WORDS gets the first COUNT; "" where there is none. */
static size_t split_user_line(char *text, const char **words, size_t count)
{
    static const char blanks[] = " \t\r";
    size_t found = 0;
    char *rest = NULL;

    for (size_t i = 0; i < count; i++)
        words[i] = "";
    for (char *word = strtok_r(text, blanks, &rest); word != NULL; word = strtok_r(NULL, blanks, &rest)) {
        if (found < count)
            words[found] = word;
        found++;
    }
    return found;
}

/* Returns what is wrong with a line, or NULL. */
static const char *find_user_fault(const char *const words[3], size_t count)
{
    if (!web_users_is_name(words[0]))
        return "a name has 1 to 64 characters of A-Z a-z 0-9 . _ @ -, and begins with no dash";
    if (strcmp(words[1], right_text(false)) != 0 && strcmp(words[1], right_text(true)) != 0)
        return "behind the name stands the right, which is full or read-only";
    if (!is_yescrypt_hash(words[2]))
        return "behind the right stands no yescrypt hash: take the line out, and add the user by candhook web-user add";
    return count > 3 ? "more than a name, a right and a hash (a comment needs a line of its own)" : NULL;
}

static void set_fingerprint(struct web_user *user, const char *hash)
{
    char *line = memory_format("%s %s %s", user->name, right_text(user->read_only), hash);
    char *digest = digest_sha256_base64url(line, strlen(line));

    snprintf(user->fingerprint, sizeof user->fingerprint, "%.*s", (int)sizeof user->fingerprint - 1, digest);
    free(digest);
    memory_free_secret(line);
}

static const struct web_user_line *find_user_line(const struct web_users *users, const char *name)
{
    for (size_t i = 0; i < users->count; i++) {
        if (strcmp(users->lines[i].user.name, name) == 0)
            return &users->lines[i];
    }
    return NULL;
}

static void keep_user_line(struct web_users *users, const char *const words[3], struct web_user_line where)
{
    struct web_user_line *line;

    users->lines = memory_resize(users->lines, users->count + 1, sizeof *users->lines);
    line = &users->lines[users->count++];
    *line = where;
    snprintf(line->user.name, sizeof line->user.name, "%s", words[0]);
    line->user.read_only = strcmp(words[1], right_text(true)) == 0;
    line->hash = memory_copy_text(words[2]);
    set_fingerprint(&line->user, line->hash);
}

/* Takes in the line TEXT, which is taken apart; WHERE tells where it stands. */
static enum result add_user_line(struct web_users *users, char *text, struct web_user_line where, struct err *err)
{
    const char *words[3], *fault;
    size_t count = split_user_line(text, words, 3);
    const struct web_user_line *other = find_user_line(users, words[0]);

    if (count == 0 || *words[0] == '#')
        return RESULT_OK;
    fault = find_user_fault(words, count);
    if (fault == NULL && other == NULL) {
        keep_user_line(users, words, where);
        return RESULT_OK;
    }
    if (fault != NULL)
        err_set(err, "%s:%u: %s", users->path, where.line, fault);
    else
        err_set(err, "%s:%u: the user of line %u again: take one of the two out", users->path, where.line, other->line);
    return RESULT_FAIL;
}

/* ---- the file ---- */

/* Takes in the lines of FILE. */
static enum result add_user_lines(struct web_users *users, const struct private_file *file, struct err *err)
{
    struct web_user_line where = {.line = 1};
    enum result result = RESULT_OK;

    for (; where.start < file->length && result == RESULT_OK; where.line++) {
        const char *start = file->text + where.start;
        const char *newline = memchr(start, '\n', file->length - where.start);
        size_t length = newline != NULL ? (size_t)(newline - start) : file->length - where.start;
        char *text = memory_copy_bytes(start, length);

        where.end = where.start + length + (newline != NULL);
        if (memchr(text, '\0', length) != NULL) {
            err_set(err, "%s:%u: a NUL byte: take the line out", users->path, where.line);
            result = RESULT_FAIL;
        } else {
            result = add_user_line(users, text, where, err);
        }
        explicit_bzero(text, length);
        free(text);
        where.start = where.end;
    }
    return result;
}

static void forget_users(struct web_users *users)
{
    for (size_t i = 0; i < users->count; i++)
        memory_free_secret(users->lines[i].hash);
    free(users->lines);
}

/* Reads the file; a missing one has no users. forget_users frees what was read, also after a failure. */
static enum result read_users(struct web_users *users, const char *path, struct err *err)
{
    static const struct private_file_rule rule = {
        .refused = S_IRWXG | S_IRWXO, .remedy = "chmod 600", .root_may_read = true, .max = WEB_USERS_FILE_BYTES};
    struct private_file file;
    enum result result = private_file_read(path, &rule, &file, err);

    *users = (struct web_users){.path = path};
    if (result != RESULT_OK)
        return file.missing ? RESULT_OK : result;
    result = add_user_lines(users, &file, err);
    private_file_free(&file);
    return result;
}

enum result web_users_load(struct web_users **out, const char *path, struct err *err)
{
    struct web_users *users = memory_new(1, sizeof *users);

    if (read_users(users, path, err) != RESULT_OK) {
        web_users_free(users);
        return RESULT_FAIL;
    }
    *out = users;
    return RESULT_OK;
}

size_t web_users_count(const struct web_users *users)
{
    return users->count;
}

const struct web_user *web_users_get(const struct web_users *users, size_t index)
{
    return &users->lines[index].user;
}

void web_users_free(struct web_users *users)
{
    if (users != NULL)
        forget_users(users);
    free(users);
}

/* ---- finding and checking ---- */

/* Hashes PASSWORD as SETTING, another hash or a salt, tells; *HASH is allocated. Fails with errno. */
static bool hash_password(const char *password, const char *setting, char **hash)
{
    struct crypt_data *data = memory_new(1, sizeof *data);
    const char *made = crypt_r(password, setting, data);
    bool done = made != NULL && *made != '*';
    int error = errno;

    if (done)
        *hash = memory_copy_text(made);
    explicit_bzero(data, sizeof *data);
    free(data);
    errno = error;
    return done;
}

enum result web_users_find(const char *path, const char *name, struct web_user *user, struct err *err)
{
    struct web_users users;
    enum result result = read_users(&users, path, err);
    const struct web_user_line *line = find_user_line(&users, name);

    *user = result == RESULT_OK && line != NULL ? line->user : (struct web_user){0};
    forget_users(&users);
    return result;
}

/* Checks the password of LINE; of nobody, when it is NULL. */
static enum result check_password(const struct web_users *users, const struct web_user_line *line, const char *password,
                                  bool *right, struct err *err)
{
    const char *stored = line != NULL ? line->hash : NO_USER;
    char *made;

    if (!hash_password(password, stored, &made)) {
        if (line != NULL)
            err_set_errno(err, "%s:%u: no password can be compared with this hash", users->path, line->line);
        else
            err_set_errno(err, "no password can be hashed");
        return RESULT_FAIL;
    }
    *right = digest_equal(made, stored) && line != NULL;
    memory_free_secret(made);
    return RESULT_OK;
}

enum result web_users_check(const char *path, const char *name, const char *password, struct web_user *user,
                            struct err *err)
{
    struct web_users users;
    enum result result = read_users(&users, path, err);
    const struct web_user_line *line = find_user_line(&users, name);
    bool right = false;

    if (result == RESULT_OK && strlen(password) <= WEB_USERS_PASSWORD_MAX)
        result = check_password(&users, line, password, &right, err);
    *user = result == RESULT_OK && right ? line->user : (struct web_user){0};
    forget_users(&users);
    return result;
}

/* ---- changing ---- */

static enum result refuse_old_user(const struct web_users *users, const char *name, struct err *err)
{
    if (find_user_line(users, name) == NULL)
        return RESULT_OK;
    err_set(err, "there is a user %s already: remove it first (candhook web-user remove %s), or say --replace", name,
            name);
    return RESULT_FAIL;
}

enum result web_users_check_new(const char *path, const char *name, struct err *err)
{
    struct web_users users;
    enum result result = read_users(&users, path, err);

    if (result == RESULT_OK)
        result = refuse_old_user(&users, name, err);
    forget_users(&users);
    return result;
}

/* Makes the line of a user. */
static enum result make_user_line(const struct web_user_new *user, char **line, struct err *err)
{
    char *salt, *hash = NULL;

    if (!web_users_is_name(user->name) || !web_users_is_password(user->password)) {
        err_set(err, "this cannot be the name or the password of a user");
        return RESULT_FAIL;
    }
    salt = crypt_gensalt_ra(YESCRYPT, YESCRYPT_COST, NULL, 0);
    if (salt == NULL || !hash_password(user->password, salt, &hash)) {
        err_set_errno(err, "the password cannot be hashed");
        free(salt);
        return RESULT_FAIL;
    }
    *line = memory_format("%s %s %s\n", user->name, right_text(user->read_only), hash);
    memory_free_secret(hash);
    free(salt);
    return RESULT_OK;
}

/* Puts TEXT in the place of the line OLD; behind all lines, when that is NULL. */
static enum result put_user_line(struct file_edit *edit, const struct web_user_line *old, const char *text,
                                 struct err *err)
{
    const struct private_file *file = &edit->old;
    size_t start = old != NULL ? old->start : file->length, end = old != NULL ? old->end : file->length, length;
    enum result result;
    char *all;
    FILE *to = memory_open_stream(&all, &length);

    if (file->text != NULL)
        fwrite(file->text, 1, start, to);
    if (start > 0 && file->text[start - 1] != '\n')
        putc('\n', to);
    fputs(text, to);
    if (file->text != NULL)
        fwrite(file->text + end, 1, file->length - end, to);
    memory_close_stream(to);
    result = file_edit_replace(edit, all, length, err);
    explicit_bzero(all, length);
    free(all);
    return result;
}

static struct file_edit users_edit(const char *path, uid_t owner)
{
    return (struct file_edit){.path = path, .setting = "web_users", .max = WEB_USERS_FILE_BYTES, .owner = owner};
}

/* Opens the file and reads its users. file_edit_close and forget_users end it, also after a failure. */
static enum result open_users_edit(struct file_edit *edit, struct web_users *users, struct err *err)
{
    enum result result = file_edit_open(edit, err);

    *users = (struct web_users){.path = edit->path};
    return result == RESULT_OK && edit->old.text != NULL ? add_user_lines(users, &edit->old, err) : result;
}

enum result web_users_add(const char *path, uid_t owner, const struct web_user_new *user, struct err *err)
{
    struct file_edit edit = users_edit(path, owner);
    struct web_users users;
    char *line = NULL;
    enum result result = make_user_line(user, &line, err);

    if (result != RESULT_OK)
        return result;
    result = open_users_edit(&edit, &users, err);
    if (result == RESULT_OK && !user->replace)
        result = refuse_old_user(&users, user->name, err);
    if (result == RESULT_OK)
        result = put_user_line(&edit, find_user_line(&users, user->name), line, err);
    forget_users(&users);
    file_edit_close(&edit);
    memory_free_secret(line);
    return result;
}

enum result web_users_remove(const char *path, const char *name, struct err *err)
{
    struct file_edit edit = users_edit(path, geteuid());
    struct web_users users;
    enum result result = open_users_edit(&edit, &users, err);
    const struct web_user_line *line = find_user_line(&users, name);

    if (result == RESULT_OK && line == NULL) {
        err_set(err, "there is no user %s in %s", name, path);
        result = RESULT_FAIL;
    }
    if (result == RESULT_OK)
        result = put_user_line(&edit, line, "", err);
    forget_users(&users);
    file_edit_close(&edit);
    return result;
}
