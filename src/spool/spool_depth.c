/*
 * SPDX-License-Identifier: ISC
 *
 * How much the spool holds. Of each record only the head is looked at, a chunk of the file at a time, so that a long
 * backlog is counted quickly; what is no record is stepped over as the reader of the spool does.
 */
#include <config.h>

#include "spool/spool_depth.h"

#include "spool/segment.h"
#include "spool/spool_aside.h"
#include "spool/spool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536u

struct window {
    uint8_t bytes[CHUNK];
    uint64_t from;
    size_t length;
};

/* The head of what begins at OFFSET, as far as the file goes. */
static const uint8_t *head_at(const struct spool_file *file, struct window *window, uint64_t offset, size_t *length)
{
    if (offset < window->from || offset + SEGMENT_HEAD_BYTES > window->from + window->length) {
        ssize_t got = spool_file_read(file->fd, window->bytes, sizeof window->bytes, offset);

        window->from = offset;
        window->length = got > 0 ? (size_t)got : 0;
    }
    *length = window->length - (size_t)(offset - window->from);
    return window->bytes + (offset - window->from);
}

static void add(struct spool_depth *depth, const uint8_t id[UUID_BYTES], size_t size)
{
    uint64_t ms = uuid_milliseconds(id);

    depth->events++;
    depth->bytes += size;
    if (depth->oldest_ms == 0 || ms < depth->oldest_ms)
        depth->oldest_ms = ms;
}

/* Counts one segment from where it is recorded. */
static void count_segment(struct spool_file *file, struct window *window, struct spool_depth *depth)
{
    uint64_t at = file->read;

    window->from = window->length = 0;
    while (at < file->size) {
        struct segment_record record;
        size_t length, size;
        const uint8_t *head = head_at(file, window, at, &length);
        enum segment_found found = segment_get_record(head, length, file->id, &record, &size);

        if (found == SEGMENT_BAD) {
            if (length == 0 || spool_file_is_unwritten(file, at))
                break;
            at = spool_file_next_record(file, at);
            continue;
        }
        if (length < SEGMENT_HEAD_BYTES || size > file->size - at || record.flag == SEGMENT_SEAL)
            break;
        add(depth, head + 16, size);
        at += size;
    }
}

static void look_into(int folder, const uint8_t id[UUID_BYTES], uint64_t recorded, struct window *window,
                      struct spool_depth *depth)
{
    struct spool_file file = {.fd = -1};

    memcpy(file.id, id, UUID_BYTES);
    if (spool_file_open(&file, folder, recorded) != 0)
        return; /* all of it was recorded meanwhile */
    depth->segments++;
    count_segment(&file, window, depth);
    close(file.fd);
}

static DIR *open_folder(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static size_t count_files(int folder, const char *name)
{
    DIR *dir = open_folder(folder, name);
    struct dirent *entry;
    size_t count = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return count;
}

int spool_depth(int folder, spool_depth_fn *recorded, const void *context, struct spool_depth *depth)
{
    DIR *dir = open_folder(folder, ".");
    struct window *window = malloc(sizeof *window);
    struct dirent *entry;
    uint8_t id[UUID_BYTES];

    if (window == NULL)
        abort();
    memset(depth, 0, sizeof *depth);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (segment_parse_name(entry->d_name, ".seg", id) == 0)
            look_into(folder, id, recorded(context, id), window, depth);
    }
    free(window);
    if (dir == NULL)
        return -1;
    closedir(dir);
    depth->damaged = count_files(folder, SPOOL_DAMAGED);
    return 0;
}
