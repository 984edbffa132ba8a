/*
 * SPDX-License-Identifier: ISC
 *
 * When each URL secret was last used.
 */
#include <config.h>

#include "spool/secret_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define USED_FOLDER "used"
#define MINUTE 60

struct place {
    char text[128];
};

static const char *place_of(const char *name, struct place *place)
{
    snprintf(place->text, sizeof place->text, USED_FOLDER "/%s", name);
    return place->text;
}

static int open_mark(int folder, const char *path)
{
    return openat(folder, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

void secret_use_record(int folder, const char *name)
{
    time_t last = secret_use_time(folder, name), now = time(NULL);
    struct place place;
    int fd;

    if (last <= now && now - last < MINUTE) /* under CGI every request is a process of its own */
        return;
    fd = open_mark(folder, place_of(name, &place));
    if (fd < 0 && errno == ENOENT && mkdirat(folder, USED_FOLDER, 0700) == 0)
        fd = open_mark(folder, place.text);
    if (fd < 0)
        return;
    futimens(fd, NULL);
    close(fd);
}

time_t secret_use_time(int folder, const char *name)
{
    struct place place;
    struct stat st;

    return fstatat(folder, place_of(name, &place), &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mtime : 0;
}

void secret_use_forget(int folder, const char *name)
{
    struct place place;

    unlinkat(folder, place_of(name, &place), 0);
}
