/*
 * SPDX-License-Identifier: ISC
 *
 * What people's verbs ask of the schema.
 */
#include <config.h>

#include "store_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bot tokens ----
 *
 * A token is copied, not sent as a parameter: a server that logs statements logs their parameters, but no copied data.
 */

static void put_number(FILE *to, uint32_t value, int bytes)
{
    while (bytes-- > 0)
        putc((int)(value >> (8 * bytes) & 0xff), to);
}

static void put_field(FILE *to, const char *text)
{
    put_number(to, (uint32_t)strlen(text), 4);
    fputs(text, to);
}

/* One row in the binary form of COPY: signature, flags, extension; number of fields, fields; end. */
static char *copy_row(const char *community, const char *token, size_t *size)
{
    char *bytes;
    FILE *to = open_memstream(&bytes, size);

    if (to == NULL)
        abort();
    fwrite("PGCOPY\n\377\r\n\0", 1, 11, to);
    put_number(to, 0, 4);
    put_number(to, 0, 4);
    put_number(to, 2, 2);
    put_field(to, community);
    put_field(to, token);
    put_number(to, 0xffff, 2);
    if (fclose(to) != 0)
        abort();
    return bytes;
}

enum result store_set_bot_token(struct store *store, const char *community, const char *token, struct err *err)
{
    size_t size;
    char *row = copy_row(community, token, &size);
    enum result result = database_copy(
        store->database, "copy candhook.bot_token_entry (origin_community_id, token) from stdin (format binary)", row,
        size, err);

    explicit_bzero(row, size);
    free(row);
    return result;
}
