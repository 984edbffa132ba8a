/*
 * SPDX-License-Identifier: ISC
 *
 * The parameters of a call of an SQL function. Arrays are built in PostgreSQL's binary form, since the text form of a
 * bytea[] is twice as long and must be quoted and parsed. Knows the form and not libpq.
 */
#ifndef CANDHOOK_SQL_PARAMS_H
#define CANDHOOK_SQL_PARAMS_H

#include "base/uuid.h"

#include <stddef.h>
#include <stdint.h>

/* Types of PostgreSQL's catalog that we send (pg_type.dat; fixed for ever). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_TEXT = 25,
    OID_UUID = 2950,
    OID_BYTEA_ARRAY = 1001,
    OID_INT8_ARRAY = 1016,
    OID_TEXT_ARRAY = 1009,
    OID_TIMESTAMPTZ = 1184,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_UUID_ARRAY = 2951
};

#define SQL_PARAMS_MAX 16

/* Begins as {0}. The members are what PQsendQueryParams takes. */
struct sql_params {
    int count;
    unsigned types[SQL_PARAMS_MAX];
    char *values[SQL_PARAMS_MAX];
    int lengths[SQL_PARAMS_MAX];
    int formats[SQL_PARAMS_MAX];
};

/* Each adds one parameter; a NULL text is null. */
void sql_params_text(struct sql_params *params, unsigned type, const char *text);
void sql_params_integer(struct sql_params *params, int64_t value);
void sql_params_uuid(struct sql_params *params, const uint8_t id[UUID_BYTES]);

/* One element of an array: LENGTH bytes, or null. */
struct element {
    const void *bytes; /* NULL: null */
    size_t length;
};

/* The element INDEX of what CONTEXT is. SPARE is room for bytes that live nowhere else. */
typedef struct element element_fn(const void *context, size_t index, uint64_t *spare);

/* Adds an array of COUNT elements. */
void sql_params_array(struct sql_params *params, unsigned array_type, unsigned type, const void *context, size_t count,
                      element_fn *element);

/* Adds an array of texts; a NULL text is null. */
void sql_params_texts(struct sql_params *params, const char *const *texts, size_t count);

void sql_params_free(struct sql_params *params);

#endif
