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
#include <stdio.h>
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

static enum result check_spool_folder(const char *folder, const struct stat *st, struct err *err)
{
    struct user_name owner, self;

    if (st->st_uid != geteuid()) {
        err_set(err, "the spool %s belongs to user %s, but this program runs as user %s", folder,
                user_name_of(&owner, st->st_uid), user_name_of(&self, geteuid()));
        return RESULT_FAIL;
    }
    if (st->st_mode & 077) {
        err_set(err, "the spool %s is open to other users (mode %04o): chmod 700 it", folder,
                (unsigned)(st->st_mode & 07777));
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

enum result spool_open(const char *folder, int *fd, struct err *err)
{
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (opened < 0 && errno == ENOENT && make_spool_folder(folder))
        opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0 || fstat(opened, &st) != 0) {
        err_set_errno(err, "cannot open the spool %s", folder);
        return RESULT_FAIL;
    }
    if (check_spool_folder(folder, &st, err) != RESULT_OK) {
        close(opened);
        return RESULT_FAIL;
    }
    *fd = opened;
    return RESULT_OK;
}

static bool read_id(int folder, char id[UUID_TEXT])
{
    int file = openat(folder, SPOOL_ID, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint8_t bytes[UUID_BYTES];
    ssize_t got;

    if (file < 0)
        return false;
    got = pread(file, id, UUID_TEXT - 1, 0);
    close(file);
    id[UUID_TEXT - 1] = '\0';
    return got == UUID_TEXT - 1 && uuid_parse(id, bytes);
}

/* Whoever finds the file finds all of it: it gets its name when it is on the disk. */
static bool make_id(int folder, char id[UUID_TEXT])
{
    int file = openat(folder, SPOOL_ID ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    uint8_t bytes[UUID_BYTES];
    bool made;

    if (file < 0)
        return false;
    uuid_new(bytes);
    made = io_write_all(file, uuid_text(bytes, id), UUID_TEXT - 1) && fsync(file) == 0 &&
           renameat(folder, SPOOL_ID ".new", folder, SPOOL_ID) == 0 && fsync(folder) == 0;
    close(file);
    return made;
}

enum result spool_get_id(int folder, char id[UUID_TEXT], struct err *err)
{
    if (read_id(folder, id) || make_id(folder, id))
        return RESULT_OK;
    err_set_errno(err, "cannot make the spool's file " SPOOL_ID);
    return RESULT_RETRY;
}
