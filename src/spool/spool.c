/*
 * SPDX-License-Identifier: ISC
 *
 * The spool's folder: opened by both sides, and trusted only when it is ours alone.
 */
#include <config.h>

#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct user_text {
    char text[80];
};

static const char *user_name(uid_t uid, struct user_text *user)
{
    const struct passwd *entry = getpwuid(uid);

    snprintf(user->text, sizeof user->text, "%.60s (uid %lu)", entry ? entry->pw_name : "?", (unsigned long)uid);
    return user->text;
}

/* A folder whose own entry is not on the disk yet loses all that is in it. */
static int sync_parent(const char *folder)
{
    char *copy = strdup(folder);
    int fd, failed;

    if (!copy)
        abort();
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    failed = fd < 0 || fsync(fd) != 0;
    if (fd >= 0)
        close(fd);
    return failed ? -1 : 0;
}

static int make_folder(const char *folder)
{
    if (mkdir(folder, 0700) == 0)
        return sync_parent(folder);
    return errno == EEXIST ? 0 : -1;
}

static enum result check_folder(const char *folder, int fd, struct err *err)
{
    struct user_text owner, self;
    struct stat st;

    if (fstat(fd, &st) != 0) {
        err_set_errno(err, "cannot look at the spool %s", folder);
        return RESULT_FAIL;
    }
    if (st.st_uid != geteuid()) {
        err_set(err, "the spool %s belongs to user %s, but this program runs as user %s", folder,
                user_name(st.st_uid, &owner), user_name(geteuid(), &self));
        return RESULT_FAIL;
    }
    if (st.st_mode & 077) {
        err_set(err, "the spool %s is open to other users (mode %04o): chmod 700 it", folder,
                (unsigned)(st.st_mode & 07777));
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

enum result spool_open(const char *folder, int *fd, struct err *err)
{
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (opened < 0 && errno == ENOENT && make_folder(folder) == 0)
        opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) {
        err_set_errno(err, "cannot open the spool %s", folder);
        return RESULT_FAIL;
    }
    if (check_folder(folder, opened, err) != RESULT_OK) {
        close(opened);
        return RESULT_FAIL;
    }
    *fd = opened;
    return RESULT_OK;
}
