/*
 * SPDX-License-Identifier: ISC
 *
 * A file for fuzzers of what is read from files: private, in the folder for temporary files, gone with the process.
 */
#ifndef CANDHOOK_FUZZ_FILE_H
#define CANDHOOK_FUZZ_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char fuzz_file_path[4096];

static void fuzz_file_remove(void)
{
    unlink(fuzz_file_path);
}

/* Puts the bytes into the file, which is made the first time, and returns its path. */
static const char *fuzz_file_with(const uint8_t *data, size_t size)
{
    const char *temp = getenv("TMPDIR");
    static int fd = -1;

    if (fd < 0) {
        snprintf(fuzz_file_path, sizeof fuzz_file_path, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
        fd = mkostemp(fuzz_file_path, O_CLOEXEC);
        must(fd >= 0 && atexit(fuzz_file_remove) == 0);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return fuzz_file_path;
}

#endif
