/*
 * SPDX-License-Identifier: ISC
 *
 * What the two tests of the configuration share: a folder of their own, with a file that CANDHOOK_CONF names.
 */
#ifndef CANDHOOK_CONF_RIG_H
#define CANDHOOK_CONF_RIG_H

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define HEAD "[candhook]\n"
#define BASE HEAD "database = password=hunter2\n"

__attribute__((unused)) static char folder[PATH_MAX], file[PATH_MAX + 32];

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

__attribute__((unused)) static const char *in_folder(const char *name)
{
    static char path[4][PATH_MAX + 64];
    static unsigned turn;
    char *room = path[turn++ % 4];

    snprintf(room, sizeof path[0], "%s/%s", folder, name);
    return room;
}

static void write_bytes(const char *path, const char *text, size_t length)
{
    FILE *stream;

    unlink(path);
    stream = fopen(path, "w");
    must(stream != NULL, path);
    must(fwrite(text, 1, length, stream) == length && fclose(stream) == 0, path);
    must(chmod(path, 0600) == 0, path);
}

__attribute__((unused)) static void write_text(const char *text)
{
    write_bytes(file, text, strlen(text));
}

static void conf_rig_begin(void)
{
    const char *temp = getenv("TMPDIR");
    char template[PATH_MAX];

    snprintf(template, sizeof template, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    must(mkdtemp(template) != NULL && realpath(template, folder) != NULL, template);
    snprintf(file, sizeof file, "%s/c.conf", folder);
    setenv("CANDHOOK_CONF", file, 1);
    unsetenv("DOCUMENT_ROOT");
    umask(022);
}

static int conf_rig_end(void)
{
    unlink(file);
    ok(rmdir(folder) == 0, "nothing is left");
    return done();
}

#endif
