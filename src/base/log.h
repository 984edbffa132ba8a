/*
 * SPDX-License-Identifier: ISC
 *
 * The log: one line per change of state, `key=value`, the event's id first where there is one. Bytes that came from
 * outside go through log_quote, so no line can be forged. No secret is ever given to this module.
 */
#ifndef CANDHOOK_LOG_H
#define CANDHOOK_LOG_H

#include <stddef.h>

#include "err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * Opens the log. TARGET is "stderr", "syslog" or an absolute path of a file (made 0600, appended to, opened anew when
 * it was renamed away). "stderr" falls back to syslog when fd 2 is closed or /dev/null, so lines never go nowhere.
 * PROGRAM is the name lines carry. Before it is called, lines go to stderr at level info.
 */
MUST_CHECK enum result log_open(const char *target, enum log_level level, const char *program, struct err *err);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Room for a quoted text: log_quote cuts longer ones and ends them with "...". */
struct log_quoted {
    char text[512];
};

/*
 * Writes TEXT of LENGTH bytes into ROOM as a "..." string in which quotes, backslashes, control bytes and bytes above
 * 126 are escaped as in C (\" \\ \n \x1b), and returns ROOM->text, so that it can stand in a call to a log function.
 * A NULL text gives: null (without quotes).
 */
const char *log_quote(struct log_quoted *room, const char *text, size_t length);

#endif
