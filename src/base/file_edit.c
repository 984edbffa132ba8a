/*
 * SPDX-License-Identifier: ISC
 *
 * Whoever changes the file holds the lock of PATH.new, has made it, and it still is the file that was locked: while we
 * waited, the holder before us may have renamed it over PATH, and then we start again. One that somebody else made is
 * removed, and never written to: it may be a link to another file, or be open for others.
 */
#include <config.h>

#include "base/file_edit.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TIMEOUT_MS 10000
#define LOCK_RETRY_MS 20

/* Whether PATH still names the file that is open as FD. */
static bool is_still_named(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* Makes PATH.new, or opens the one that is there. Returns whether it was made; errno is EAGAIN when it has just gone.
 */
static bool open_new_file(struct file_edit *edit)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

    edit->fd = open(edit->new_path, flags | O_CREAT | O_EXCL, 0600);
    if (edit->fd >= 0)
        return true;
    if (errno == EEXIST) {
        edit->fd = open(edit->new_path, flags);
        errno = edit->fd < 0 && errno == ENOENT ? EAGAIN : errno;
    }
    return false;
}

static enum result lock_new_file(struct file_edit *edit, struct err *err)
{
    int64_t deadline = clock_monotonic_ms() + LOCK_TIMEOUT_MS;

    while (clock_monotonic_ms() < deadline) {
        bool made = open_new_file(edit), locked;

        if (edit->fd < 0 && errno != EAGAIN) {
            err_set_errno(err, "cannot write %s: run this as root, or put %s into a folder that is the user's own",
                          edit->new_path, edit->setting);
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

static enum result read_old_file(struct file_edit *edit, struct err *err)
{
    const struct private_file_rule rule = {
        .refused = S_IRWXG | S_IRWXO, .remedy = "chmod 600", .root_may_read = true, .max = edit->max};
    enum result result = private_file_read(edit->path, &rule, &edit->old, err);

    if (result != RESULT_OK)
        return edit->old.missing ? RESULT_OK : result;
    edit->owner = edit->old.stat.st_uid;
    edit->group = edit->old.stat.st_gid;
    return RESULT_OK;
}

enum result file_edit_open(struct file_edit *edit, struct err *err)
{
    enum result result;

    edit->old = (struct private_file){0};
    edit->fd = -1;
    edit->group = (gid_t)-1;
    edit->new_path = memory_format("%s.new", edit->path);
    result = lock_new_file(edit, err);
    return result == RESULT_OK ? read_old_file(edit, err) : result;
}

enum result file_edit_replace(struct file_edit *edit, const char *text, size_t length, struct err *err)
{
    if (length > edit->max) {
        err_set(err, "%s would be longer than it may be: take out what is not needed", edit->path);
        return RESULT_FAIL;
    }
    if (fchmod(edit->fd, 0600) != 0 || (geteuid() == 0 && fchown(edit->fd, edit->owner, edit->group) != 0) ||
        !io_write_all(edit->fd, text, length) || fsync(edit->fd) != 0 || rename(edit->new_path, edit->path) != 0 ||
        !io_sync_parent(edit->path)) {
        err_set_errno(err, "cannot write %s", edit->path);
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

void file_edit_close(struct file_edit *edit)
{
    if (edit->fd >= 0 && is_still_named(edit->fd, edit->new_path))
        unlink(edit->new_path); /* while we hold its lock */
    if (edit->fd >= 0)
        close(edit->fd);
    private_file_free(&edit->old);
    free(edit->new_path);
}
