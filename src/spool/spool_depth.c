/*
 * SPDX-License-Identifier: ISC
 *
 * Counts what the spool holds. It reads only the header of each record, through a window on the file, so that a long
 * backlog is counted quickly. Bytes that are no record are skipped as spool_reader.c skips them.
 */
#include <config.h>

#include "spool/spool_depth.h"

#include "base/memory.h"
#include "spool/segment.h"
#include "spool/spool_aside.h"
#include "spool/spool_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES 65536u

/* A part of the file that is in memory. */
struct depth_window {
    uint8_t bytes[WINDOW_BYTES];
    uint64_t offset;
    size_t length;
};

/* Returns the bytes at OFFSET, of which *LENGTH are in memory: at least a record's header, unless the file ends. */
static const uint8_t *window_at(const struct spool_file *file, struct depth_window *window, uint64_t offset,
                                size_t *length)
{
    if (offset < window->offset || offset + SEGMENT_RECORD_HEADER_BYTES > window->offset + window->length) {
        ssize_t got = spool_file_read(file, window->bytes, sizeof window->bytes, offset);

        window->offset = offset;
        window->length = got > 0 ? (size_t)got : 0;
    }
    *length = window->length - (size_t)(offset - window->offset);
    return window->bytes + (offset - window->offset);
}

static void count_event(struct spool_depth *depth, const uint8_t id[UUID_BYTES], size_t size)
{
    uint64_t ms = uuid_milliseconds(id);

    depth->events++;
    depth->bytes += size;
    if (depth->oldest_ms == 0 || ms < depth->oldest_ms)
        depth->oldest_ms = ms;
}

/* Counts the records of one segment from the file's offset on. */
static void count_records(struct spool_file *file, struct depth_window *window, struct spool_depth *depth)
{
    uint64_t at = file->offset;

    window->offset = window->length = 0;
    while (at < file->size) {
        struct segment_record record;
        size_t length, size;
        const uint8_t *header = window_at(file, window, at, &length);
        enum segment_found found = segment_get_record(header, length, file->id, &record, &size);

        if (found == SEGMENT_BAD) {
            /* Zeros are room that the writer allocated: the end of the records. */
            if (length == 0 || *header == 0 || !spool_file_next_record(file, at, &at))
                break;
            continue;
        }
        if (length < SEGMENT_RECORD_HEADER_BYTES || size > file->size - at || record.flag == SEGMENT_SEAL)
            break;
        count_event(depth, header + 16, size);
        at += size;
    }
}

static void count_segment(int folder, const uint8_t id[UUID_BYTES], uint64_t recorded, struct depth_window *window,
                          struct spool_depth *depth)
{
    struct spool_file file = {.fd = -1};

    memcpy(file.id, id, UUID_BYTES);
    if (!spool_file_open(&file, folder, recorded))
        return; /* most likely it was recorded and removed meanwhile */
    depth->segments++;
    if (spool_file_find_start(&file))
        count_records(&file, window, depth);
    close(file.fd);
}

static void count_damaged(int folder, struct spool_depth *depth)
{
    DIR *dir = spool_aside_list(folder, SPOOL_DAMAGED);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name), suffix = strlen(SPOOL_TORN);

        if (length > suffix && strcmp(entry->d_name + length - suffix, SPOOL_TORN) == 0)
            depth->torn++;
        else
            depth->damaged += entry->d_name[0] != '.';
    }
    if (dir != NULL)
        closedir(dir);
}

enum result spool_depth_count(int folder, spool_depth_fn *recorded, const void *context, struct spool_depth *depth,
                              struct err *err)
{
    DIR *dir = spool_aside_list(folder, ".");
    struct depth_window *window;
    const struct dirent *entry;
    uint8_t id[UUID_BYTES];

    memset(depth, 0, sizeof *depth);
    if (dir == NULL) {
        err_set_errno(err, "cannot list the spool");
        return RESULT_FAIL;
    }
    window = memory_new(1, sizeof *window);
    while ((entry = readdir(dir)) != NULL)
        if (segment_parse_name(entry->d_name, ".seg", id))
            count_segment(folder, id, recorded(context, id), window, depth);
    free(window);
    closedir(dir);
    count_damaged(folder, depth);
    return RESULT_OK;
}
