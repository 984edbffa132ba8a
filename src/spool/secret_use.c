/*
 * SPDX-License-Identifier: ISC
 *
 * The last use of each URL secret.
 */
#include <config.h>

#include "spool/secret_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define USE_FOLDER "used"
#define MINUTE 60

/* The path of a secret's file, relative to the spool. */
struct use_path {
    char text[128];
};

static const char *use_path_of(const char *name, struct use_path *path)
{
    snprintf(path->text, sizeof path->text, USE_FOLDER "/%s", name);
    return path->text;
}

static int open_use_file(int folder, const char *path)
{
    return openat(folder, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

void secret_use_touch(int folder, const char *name)
{
    time_t last = secret_use_time(folder, name), now = time(NULL);
    struct use_path path;
    int fd;

    if (last <= now && now - last < MINUTE) /* under CGI every request is a process of its own */
        return;
    fd = open_use_file(folder, use_path_of(name, &path));
    if (fd < 0 && errno == ENOENT && mkdirat(folder, USE_FOLDER, 0700) == 0)
        fd = open_use_file(folder, path.text);
    if (fd < 0)
        return;
    futimens(fd, NULL);
    close(fd);
}

time_t secret_use_time(int folder, const char *name)
{
    struct use_path path;
    struct stat st;

    return fstatat(folder, use_path_of(name, &path), &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mtime : 0;
}

void secret_use_forget(int folder, const char *name)
{
    struct use_path path;

    unlinkat(folder, use_path_of(name, &path), 0);
}
