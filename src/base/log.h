/*
 * SPDX-License-Identifier: ISC
 *
 * The log: one line for each change of state, `key=value key=value`, the event's id first where there is one. No line
 * can be forged: each text that a format inserts is one value, quoted and escaped where it is not a plain word. Callers
 * pass no secrets.
 */
#ifndef CANDHOOK_LOG_H
#define CANDHOOK_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Returns the name of LEVEL in lines and in the configuration: error, warning, info, debug. */
const char *log_level_name(enum log_level level);

/* Sets *LEVEL to the one of that name. Returns false, and leaves *LEVEL alone, when there is none. */
MUST_CHECK bool log_level_parse(const char *name, enum log_level *level);

/*
 * Opens the log. TARGET is "stderr", "syslog" or the absolute path of a file (made 0600, appended to, opened again when
 * it was renamed away). "stderr" falls back to syslog when fd 2 is closed or /dev/null, so that no line is lost.
 * PROGRAM is the name in each line. Before it is called, lines go to stderr at level info.
 */
MUST_CHECK enum result log_open(const char *target, enum log_level level, const char *program, struct err *err);

/*
 * FORMAT is `key=VALUE key=VALUE`, VALUE one of %s (NULL gives null), %d, %ld, %lu and %zu, a plain word, or a fixed
 * text in double quotes. A key says what its value is; the first one says what the line is about.
 */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Room for a quoted text; log_quote cuts a longer one and ends it with "...". */
struct log_quoted {
    char text[512];
};

/*
 * For messages that do not go into the log: writes LENGTH bytes of TEXT into ROOM as a string in double quotes, in
 * which quotes, backslashes, control characters and bytes above 126 are escaped as in C (\" \\ \n \x1b). Returns
 * ROOM->text.
 */
const char *log_quote(struct log_quoted *room, const char *text, size_t length);

#endif
