/*
 * SPDX-License-Identifier: ISC
 *
 * Changes a private file (base/private_file.h). The new text is written to a file beside it, PATH.new, synced, and
 * renamed over it, so that a reader sees either the old text or the new one. The lock of PATH.new keeps two changes
 * from losing each other's. The file keeps its owner and group, and has mode 0600 afterwards.
 */
#ifndef CANDHOOK_FILE_EDIT_H
#define CANDHOOK_FILE_EDIT_H

#include "base/err.h"
#include "base/private_file.h"

#include <stddef.h>
#include <sys/types.h>

struct file_edit {
    /* What the caller sets; the texts are borrowed. */
    const char *path;
    const char *setting; /* the key of the configuration that names the file */
    size_t max;          /* longest text, in bytes */
    uid_t owner;         /* of a file that is new, which matters to root only */
    /* What file_edit_open finds. */
    struct private_file old; /* the file as it was; no text when there was none */
    /* Of file_edit.c alone. */
    char *new_path;
    int fd; /* of PATH.new, locked; -1 */
    gid_t group;
};

/*
 * Takes the lock and reads the file; a missing one is no failure. RESULT_FAIL when it cannot be written, or is not as a
 * private file has to be; RESULT_RETRY when another program has been changing it for 10 s. file_edit_close ends it,
 * also after a failure.
 */
MUST_CHECK enum result file_edit_open(struct file_edit *edit, struct err *err);

/* Replaces the file by one that holds LENGTH bytes of TEXT; once at most. */
MUST_CHECK enum result file_edit_replace(struct file_edit *edit, const char *text, size_t length, struct err *err);

void file_edit_close(struct file_edit *edit);

#endif
