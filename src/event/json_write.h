/*
 * SPDX-License-Identifier: ISC
 *
 * Writes JSON: an object is begun, members are added in order, the text is taken. Escaping is cJSON's work. What cannot
 * be written (memory, nesting, a name where none may be) is an error of the program and ends it.
 */
#ifndef CANDHOOK_JSON_WRITE_H
#define CANDHOOK_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#define JSON_WRITE_DEPTH 8 /* objects and arrays that may be open at once, the outermost included */

struct json_writer;

/* Begins an object. */
struct json_writer *json_write_new(void);

/*
 * Each of these adds a value to the object or array that was opened last. NAME is the member's name in an object, and
 * NULL in an array. Names and texts are copied.
 */

/* A string. TEXT NULL writes null; a byte that is not UTF-8 becomes a question mark. */
void json_write_text(struct json_writer *writer, const char *name, const char *text);

/* Every digit is written, also those of numbers that a double cannot hold. */
void json_write_integer(struct json_writer *writer, const char *name, int64_t value);

void json_write_bool(struct json_writer *writer, const char *name, bool value);
void json_write_null(struct json_writer *writer, const char *name);

/* JSON that is a text already (a value that PostgreSQL gave); it is not checked. */
void json_write_json(struct json_writer *writer, const char *name, const char *json);

/* Opens an object or an array, which what follows goes into, until json_write_close. */
void json_write_object(struct json_writer *writer, const char *name);
void json_write_array(struct json_writer *writer, const char *name);
void json_write_close(struct json_writer *writer);

/* Returns the JSON in one line, to be freed. Closes what is open and frees WRITER. */
char *json_write_finish(struct json_writer *writer);

#endif
