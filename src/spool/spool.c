/*
 * SPDX-License-Identifier: ISC
 *
 * The spool's folder: both sides open it, and use it only when it belongs to this user and is closed to all others.
 */
#include <config.h>

#include "spool/spool.h"

#include "base/io.h"
#include "base/user_name.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Syncs the parent, too: a power cut would take away a folder whose entry is not on the disk, with all that is in it.
 */
static bool make_spool_folder(const char *folder)
{
    if (mkdir(folder, 0700) == 0)
        return io_sync_parent(folder);
    return errno == EEXIST;
}

static enum result check_spool_folder(const char *folder, int fd, struct err *err)
{
    struct user_name owner, self;
    struct stat st;

    if (fstat(fd, &st) != 0) {
        err_set_errno(err, "cannot check the spool %s", folder);
        return RESULT_FAIL;
    }
    if (st.st_uid != geteuid()) {
        err_set(err, "the spool %s belongs to user %s, but this program runs as user %s", folder,
                user_name_of(&owner, st.st_uid), user_name_of(&self, geteuid()));
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

    if (opened < 0 && errno == ENOENT && make_spool_folder(folder))
        opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) {
        err_set_errno(err, "cannot open the spool %s", folder);
        return RESULT_FAIL;
    }
    if (check_spool_folder(folder, opened, err) != RESULT_OK) {
        close(opened);
        return RESULT_FAIL;
    }
    *fd = opened;
    return RESULT_OK;
}
