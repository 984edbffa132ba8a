/*
 * SPDX-License-Identifier: ISC
 *
 * The parameters of one call of an SQL function. Arrays are sent in PostgreSQL's binary form: the text form of a
 * bytea[] is twice as long and must be quoted and parsed. Knows that form, and not libpq.
 */
#ifndef CANDHOOK_SQL_PARAMS_H
#define CANDHOOK_SQL_PARAMS_H

#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of PostgreSQL's catalog that we send (pg_type.dat; they never change). */
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

/* Starts as {0}. The members are the arguments of PQsendQueryParams. */
struct sql_params {
    int count;
    unsigned types[SQL_PARAMS_MAX];
    char *values[SQL_PARAMS_MAX]; /* owned */
    int lengths[SQL_PARAMS_MAX];
    int formats[SQL_PARAMS_MAX];
};

/* Each function below adds one parameter, and ends the program (abort) when there are SQL_PARAMS_MAX already. */

/* Adds TEXT as a value of TYPE; NULL is SQL's null. */
void sql_params_text(struct sql_params *params, unsigned type, const char *text);
void sql_params_bool(struct sql_params *params, bool value);
void sql_params_integer(struct sql_params *params, int64_t value);
void sql_params_uuid(struct sql_params *params, const uint8_t id[UUID_BYTES]);
void sql_params_time(struct sql_params *params, int64_t ms); /* since 1970; 0 is SQL's null */

/* One element of an array, in the binary form of its type. */
struct sql_element {
    const void *bytes; /* NULL: null */
    size_t length;
};

/* Returns element INDEX of CONTEXT. SCRATCH is room for a value that has to be converted. */
typedef struct sql_element sql_element_fn(const void *context, size_t index, uint64_t *scratch);

/* Adds an array of COUNT elements; ELEMENT is called twice for each. */
void sql_params_array(struct sql_params *params, unsigned array_type, unsigned type, const void *context, size_t count,
                      sql_element_fn *element);

/* Adds an array of texts; a NULL text is null. */
void sql_params_texts(struct sql_params *params, const char *const *texts, size_t count);

/* Returns TEXT as an element of an array; NULL is null. */
struct sql_element sql_element_text(const char *text);

/* Returns MS, a time since 1970, as an element of an array. */
struct sql_element sql_element_time(int64_t ms, uint64_t *scratch);

/* Frees the values. */
void sql_params_free(struct sql_params *params);

#endif
