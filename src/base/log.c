/*
 * SPDX-License-Identifier: ISC
 *
 * The log. A line for stderr or a file is
 *
 *     2026-11-23T20:15:00.123Z candhook.fcgi[1234] warning: key=value key="another value"
 *
 * written by one write(2), so that the lines of several processes do not mix; syslog adds time, name and pid itself.
 * Every text that a format inserts becomes one value: quoted and escaped where it holds anything but a plain word. So a
 * message of another program (PostgreSQL's have line feeds) stays one value on one line. A line that cannot be written
 * goes to syslog.
 */
#include <config.h>

#include "base/log.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_BYTES 4096  /* longest line with its line feed: a pipe takes that much in one piece */
#define VALUE_BYTES 1536 /* longest quoted value with its NUL */

enum target { TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

/*
 * The one log of a process. A file's descriptor is used only while it still is the file that was opened: a child may
 * have closed it, and opened something else under its number.
 */
static struct {
    enum target target;
    enum log_level level;
    char program[64];
    char path[4096];
    int fd;
    dev_t device;
    ino_t inode;
    pid_t checked_by;   /* the process that checked last whether the file is still there, */
    int64_t checked_at; /* and when: monotonic seconds */
} log_state = {.target = TARGET_STDERR, .level = LOG_LEVEL_INFO, .program = "candhook", .fd = -1};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* ---- the file ---- */

static bool is_log_file(const struct stat *st)
{
    return st->st_dev == log_state.device && st->st_ino == log_state.inode;
}

/* Opens PATH for appending, and sets *ST. Returns -1 with errno; EINVAL for what is no file for a log, as a FIFO. */
static int open_log_file(const char *path, struct stat *st)
{
    /* O_NONBLOCK: a FIFO of that name must not hold the program. */
    int fd = io_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600), moved;

    /* Not one of the standard descriptors, which other code replaces. */
    if (fd >= 0 && fd <= STDERR_FILENO) {
        moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(fd);
        fd = moved;
    }
    if (fd < 0)
        return -1;
    if (fstat(fd, st) != 0 || !(S_ISREG(st->st_mode) || S_ISCHR(st->st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

static bool fd_is_log_file(void)
{
    struct stat st;

    return log_state.fd >= 0 && fstat(log_state.fd, &st) == 0 && is_log_file(&st);
}

static void close_log_file(void)
{
    if (fd_is_log_file())
        close(log_state.fd);
    log_state.fd = -1;
}

static void use_log_file(int fd, const struct stat *st)
{
    close_log_file();
    log_state.fd = fd;
    log_state.device = st->st_dev;
    log_state.inode = st->st_ino;
}

/* Opens the file again when it was renamed away or closed. Checks that once a second, and at once in a child. */
static void reopen_log_file(void)
{
    int64_t now = clock_monotonic_ms() / 1000;
    struct stat st;
    int fd;

    if (log_state.checked_by == getpid() && log_state.checked_at == now)
        return;
    log_state.checked_by = getpid();
    log_state.checked_at = now;
    if (stat(log_state.path, &st) == 0 && is_log_file(&st) && fd_is_log_file())
        return;
    fd = open_log_file(log_state.path, &st);
    if (fd >= 0)
        use_log_file(fd, &st);
    else if (!fd_is_log_file())
        log_state.fd = -1; /* otherwise the old file stays in use: a confined process may not open it again */
}

/* ---- lines ---- */

static const char hex_digits[] = "0123456789abcdef";

/* Writes the escape of one byte. Returns its length, at most 4. */
static size_t write_escape(char *to, unsigned char byte)
{
    const char *special = "\n\r\t", *name = "nrt", *at = byte != 0 ? strchr(special, byte) : NULL;

    to[0] = '\\';
    if (at != NULL) {
        to[1] = name[at - special];
        return 2;
    }
    to[1] = 'x';
    to[2] = hex_digits[byte >> 4];
    to[3] = hex_digits[byte & 15];
    return 4;
}

/* Whether a value can stand without quotes: it is not empty, and no character in it could end it. */
static bool is_bare_value(const char *text)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/@+,-";
    size_t length = strspn(text, safe);

    return length > 0 && length <= VALUE_BYTES && text[length] == '\0';
}

/*
 * Writes LENGTH bytes of TEXT as a quoted value with its NUL into ROOM bytes; "..." stands for what does not fit.
 * Returns the length of the value.
 */
static size_t write_quoted(char *to, size_t room, const char *text, size_t length)
{
    const size_t last = room - sizeof "...\""; /* where the end must begin at the latest */
    size_t used = 0, i;

    to[used++] = '"';
    for (i = 0; i < length && used + 4 <= last; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '"' || byte == '\\')
            to[used++] = '\\';
        if (byte < 0x20 || byte > 126)
            used += write_escape(to + used, byte);
        else
            to[used++] = text[i];
    }
    strcpy(to + used, i < length ? "...\"" : "\"");
    return used + strlen(to + used);
}

/* A line that is being composed. */
struct log_line {
    char text[LINE_BYTES];
    size_t length;
};

static void add_line_bytes(struct log_line *line, const char *bytes, size_t length)
{
    size_t room = sizeof line->text - 1 - line->length; /* one byte is the line feed's */

    if (length > room)
        length = room;
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
}

static void add_line_value(struct log_line *line, const char *text)
{
    char quoted[VALUE_BYTES];

    if (text == NULL)
        add_line_bytes(line, "null", 4);
    else if (is_bare_value(text))
        add_line_bytes(line, text, strlen(text));
    else
        add_line_bytes(line, quoted, write_quoted(quoted, sizeof quoted, text, strlen(text)));
}

__attribute__((format(printf, 2, 3))) static void add_line_number(struct log_line *line, const char *format, ...)
{
    char number[32];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(number, sizeof number, format, args);
    va_end(args);
    add_line_bytes(line, number, (size_t)length);
}

/* Adds what FORMAT says. Each text that it inserts is one value, quoted where that is needed. */
__attribute__((format(printf, 2, 0))) static void add_line_format(struct log_line *line, const char *format,
                                                                  va_list args)
{
    for (const char *percent; (percent = strchr(format, '%')) != NULL;) {
        add_line_bytes(line, format, (size_t)(percent - format));
        format = percent + 2;
        if (percent[1] == 's') {
            add_line_value(line, va_arg(args, const char *));
        } else if (percent[1] == 'd') {
            add_line_number(line, "%d", va_arg(args, int));
        } else if (strncmp(percent, "%ld", 3) == 0) {
            add_line_number(line, "%ld", va_arg(args, long));
            format++;
        } else if (strncmp(percent, "%lu", 3) == 0) {
            add_line_number(line, "%lu", va_arg(args, unsigned long));
            format++;
        } else if (strncmp(percent, "%zu", 3) == 0) {
            add_line_number(line, "%zu", va_arg(args, size_t));
            format++;
        } else {
            abort(); /* log.h lists the conversions */
        }
    }
    add_line_bytes(line, format, strlen(format));
}

static void add_line_head(struct log_line *line, enum log_level level)
{
    char now[CLOCK_TEXT_BYTES];
    int length;

    length = snprintf(line->text, sizeof line->text, "%s %s[%ld] %s: ", clock_text(clock_real_ms(), now),
                      log_state.program, (long)getpid(), level_names[level]);
    line->length = (size_t)length;
}

static bool write_line(int fd, const char *line, size_t length)
{
    ssize_t done;

    do
        done = write(fd, line, length);
    while (done < 0 && errno == EINTR);
    return done >= 0; /* a line written in part stays so: the rest would be a line of its own */
}

__attribute__((format(printf, 2, 0))) static void log_line(enum log_level level, const char *format, va_list args)
{
    struct log_line line = {.length = 0};
    size_t head;
    int saved = errno;
    bool written = false;

    if (level > log_state.level)
        return;
    if (log_state.target != TARGET_SYSLOG)
        add_line_head(&line, level);
    head = line.length;
    add_line_format(&line, format, args);
    line.text[line.length] = '\n';
    if (log_state.target == TARGET_FILE)
        reopen_log_file();
    if (log_state.target != TARGET_SYSLOG)
        written =
            write_line(log_state.target == TARGET_FILE ? log_state.fd : STDERR_FILENO, line.text, line.length + 1);
    if (!written)
        syslog(level_priorities[level], "%.*s", (int)(line.length - head), line.text + head);
    errno = saved;
}

/* ---- the functions of log.h ---- */

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) != 0)
            continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

static bool stderr_is_lost(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) != 0 || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static enum result log_to_file(const char *path, struct err *err)
{
    struct stat st;
    int fd;

    fd = open_log_file(path, &st);
    if (fd < 0) {
        err_set_errno(err, "cannot open the log file %s", path);
        return RESULT_FAIL;
    }
    use_log_file(fd, &st);
    snprintf(log_state.path, sizeof log_state.path, "%s", path);
    log_state.target = TARGET_FILE;
    return RESULT_OK;
}

enum result log_open(const char *target, enum log_level level, const char *program, struct err *err)
{
    bool to_stderr = strcmp(target, "stderr") == 0, to_syslog = strcmp(target, "syslog") == 0;

    snprintf(log_state.program, sizeof log_state.program, "%s", program);
    log_state.level = level;
    openlog(log_state.program, LOG_PID | LOG_NDELAY, LOG_DAEMON); /* a confined process may open no socket */
    if (!to_stderr && !to_syslog)
        return log_to_file(target, err);
    close_log_file();
    log_state.target = to_syslog || stderr_is_lost() ? TARGET_SYSLOG : TARGET_STDERR;
    return RESULT_OK;
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line(LOG_LEVEL_ERROR, format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line(LOG_LEVEL_WARNING, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line(LOG_LEVEL_INFO, format, args);
    va_end(args);
}

void log_debug(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line(LOG_LEVEL_DEBUG, format, args);
    va_end(args);
}

const char *log_quote(struct log_quoted *room, const char *text, size_t length)
{
    write_quoted(room->text, sizeof room->text, text, length);
    return room->text;
}
