/*
 * SPDX-License-Identifier: ISC
 *
 * The permission bits are judged here and not left to the kernel, which stops no root.
 */
#include <config.h>

#include "base/private_file.h"

#include "base/io.h"
#include "base/memory.h"
#include "base/user_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum result check_owner(const char *path, const struct private_file_rule *rule, uid_t owner, struct err *err)
{
    struct user_name theirs, ours;

    if (owner == geteuid() || (rule->root_may_own && owner == 0) || (rule->root_may_read && geteuid() == 0))
        return RESULT_OK;
    user_name_of(&theirs, owner);
    user_name_of(&ours, geteuid());
    err_set(err, "%s belongs to %s, but this runs as %s: run it as %s, or `chown %s %s`", path, theirs.text, ours.text,
            theirs.text, ours.text, path);
    return RESULT_FAIL;
}

static enum result check_private_file(const char *path, const struct private_file_rule *rule, const struct stat *st,
                                      struct err *err)
{
    if (!S_ISREG(st->st_mode)) {
        err_set(err, "%s is not a regular file", path);
        return RESULT_FAIL;
    }
    if (check_owner(path, rule, st->st_uid, err) != RESULT_OK)
        return RESULT_FAIL;
    if (st->st_mode & rule->refused) {
        err_set(err, "%s has mode %04o, so that others may read or change it: `%s %s`", path,
                (unsigned)(st->st_mode & 07777), rule->remedy, path);
        return RESULT_FAIL;
    }
    if (st->st_size < 0 || (uintmax_t)st->st_size > rule->max) {
        err_set(err, "%s has %jd bytes; at most %zu are read", path, (intmax_t)st->st_size, rule->max);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

/* Reads what FD has, up to the rule's maximum: a file that grows meanwhile is cut there. */
static enum result read_private_file(int fd, const char *path, size_t max, struct private_file *file, struct err *err)
{
    ssize_t length;

    file->text = memory_allocate(max + 1);
    length = io_read_all(fd, file->text, max);
    if (length < 0) {
        err_set_errno(err, "cannot read %s", path);
        private_file_free(file);
        return RESULT_FAIL;
    }
    file->length = (size_t)length;
    file->text[length] = '\0';
    return RESULT_OK;
}

enum result private_file_read(const char *path, const struct private_file_rule *rule, struct private_file *file,
                              struct err *err)
{
    enum result result = RESULT_FAIL;
    int fd;

    memset(file, 0, sizeof *file);
    /* O_NONBLOCK: a FIFO of that name must not hold the program. */
    fd = io_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 || fstat(fd, &file->stat) != 0) {
        file->missing = fd < 0 && errno == ENOENT;
        err_set_errno(err, "cannot open %s", path);
        goto out;
    }
    result = check_private_file(path, rule, &file->stat, err);
    if (result == RESULT_OK)
        result = read_private_file(fd, path, rule->max, file, err);
out:
    if (fd >= 0)
        close(fd);
    return result;
}

enum result private_file_read_secret(const char *path, char **secret, struct err *err)
{
    static const struct private_file_rule rule = {
        .refused = 077, .remedy = "chmod 600", .root_may_own = true, .root_may_read = true, .max = 4096};
    struct private_file file;
    enum result result;

    *secret = NULL;
    if (*path == '\0')
        return RESULT_OK;
    result = private_file_read(path, &rule, &file, err);
    if (result != RESULT_OK)
        return result;
    *secret = memory_copy_bytes(file.text, strcspn(file.text, "\r\n"));
    private_file_free(&file);
    if (**secret != '\0')
        return RESULT_OK;
    err_set(err, "%s is empty: its first line is to be the secret", path);
    free(*secret);
    *secret = NULL;
    return RESULT_FAIL;
}

void private_file_free(struct private_file *file)
{
    if (file->text != NULL)
        explicit_bzero(file->text, file->length);
    free(file->text);
    file->text = NULL;
}
