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
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096  /* longest line with its line feed: a pipe takes that much in one piece */
#define VALUE_BYTES 1536 /* longest quoted value with its NUL */

enum target { TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

/* The one log of a process. A file's descriptor is only trusted while it is still the file that was opened: a child may
   have closed it, and opened something else under its number. */
static struct {
    enum target target;
    enum log_level level;
    char program[64];
    char path[4096];
    int fd;
    dev_t device;
    ino_t inode;
    pid_t pid;        /* that looked last, */
    time_t looked_at; /* when */
} log_state = {.target = TARGET_STDERR, .level = LOG_LEVEL_INFO, .program = "candhook", .fd = -1};

static const char *const level_words[] = {"error", "warning", "info", "debug"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* ---- the file ---- */

static bool is_our_file(const struct stat *st)
{
    return st->st_dev == log_state.device && st->st_ino == log_state.inode;
}

static int open_file(const char *path, struct stat *st)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hold the program. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600), moved;

    /* Never one of the three standard numbers: others put /dev/null there. */
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

static bool fd_is_our_file(void)
{
    struct stat st;

    return log_state.fd >= 0 && fstat(log_state.fd, &st) == 0 && is_our_file(&st);
}

static void close_file(void)
{
    if (fd_is_our_file())
        close(log_state.fd);
    log_state.fd = -1;
}

static void use_file(int fd, const struct stat *st)
{
    close_file();
    log_state.fd = fd;
    log_state.device = st->st_dev;
    log_state.inode = st->st_ino;
}

/* Once a second, and first thing in a child, sees whether the file was renamed away or closed, and opens it anew. */
static void reopen_file(void)
{
    struct timespec now;
    struct stat st;
    int fd;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (log_state.pid == getpid() && log_state.looked_at == now.tv_sec)
        return;
    log_state.pid = getpid();
    log_state.looked_at = now.tv_sec;
    if (stat(log_state.path, &st) == 0 && is_our_file(&st) && fd_is_our_file())
        return;
    fd = open_file(log_state.path, &st);
    if (fd >= 0)
        use_file(fd, &st);
    else if (!fd_is_our_file())
        log_state.fd = -1; /* else the old one serves on: a confined process may not open it again */
}

/* ---- lines ---- */

static const char hex_digits[] = "0123456789abcdef";

/* Writes the escape of one byte, at most 4 bytes, and returns how many. */
static size_t escape(char *to, unsigned char byte)
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

/* Whether a value may stand without quotes: not empty, and nothing in it that could end it. */
static bool is_bare(const char *text)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/@+,-";
    size_t length = strspn(text, safe);

    return length > 0 && length <= VALUE_BYTES && text[length] == '\0';
}

/* Writes TEXT of LENGTH bytes as a quoted value with its NUL into ROOM bytes; "..." stands for what does not fit. */
static size_t write_quoted(char *to, size_t room, const char *text, size_t length)
{
    const size_t last = room - sizeof "...\""; /* the end must begin here at the latest */
    size_t used = 0, i;

    to[used++] = '"';
    for (i = 0; i < length && used + 4 <= last; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '"' || byte == '\\')
            to[used++] = '\\';
        if (byte < 0x20 || byte > 126)
            used += escape(to + used, byte);
        else
            to[used++] = text[i];
    }
    strcpy(to + used, i < length ? "...\"" : "\"");
    return used + strlen(to + used);
}

/* A line while it is written. */
struct log_line {
    char text[LINE_BYTES];
    size_t length;
};

static void add_bytes(struct log_line *line, const char *bytes, size_t length)
{
    size_t room = sizeof line->text - 1 - line->length; /* the line feed has a place */

    if (length > room)
        length = room;
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
}

static void add_text(struct log_line *line, const char *text)
{
    char quoted[VALUE_BYTES];

    if (text == NULL)
        add_bytes(line, "null", 4);
    else if (is_bare(text))
        add_bytes(line, text, strlen(text));
    else
        add_bytes(line, quoted, write_quoted(quoted, sizeof quoted, text, strlen(text)));
}

__attribute__((format(printf, 2, 3))) static void add_number(struct log_line *line, const char *format, ...)
{
    char number[32];
    va_list args;

    va_start(args, format);
    add_bytes(line, number, (size_t)vsnprintf(number, sizeof number, format, args));
    va_end(args);
}

/* Adds the text of FORMAT. Each value that it inserts is quoted where that is needed, so that none can end early. */
__attribute__((format(printf, 2, 0))) static void add_formatted(struct log_line *line, const char *format, va_list args)
{
    for (const char *percent; (percent = strchr(format, '%')) != NULL;) {
        add_bytes(line, format, (size_t)(percent - format));
        format = percent + 2;
        if (percent[1] == 's') {
            add_text(line, va_arg(args, const char *));
        } else if (percent[1] == 'd') {
            add_number(line, "%d", va_arg(args, int));
        } else if (strncmp(percent, "%ld", 3) == 0) {
            add_number(line, "%ld", va_arg(args, long));
            format++;
        } else if (strncmp(percent, "%lu", 3) == 0) {
            add_number(line, "%lu", va_arg(args, unsigned long));
            format++;
        } else if (strncmp(percent, "%zu", 3) == 0) {
            add_number(line, "%zu", va_arg(args, size_t));
            format++;
        } else {
            abort(); /* log.h names the conversions that there are */
        }
    }
    add_bytes(line, format, strlen(format));
}

static void add_head(struct log_line *line, enum log_level level)
{
    char now[CLOCK_TEXT_BYTES];
    int length;

    length = snprintf(line->text, sizeof line->text, "%s %s[%ld] %s: ", clock_text(clock_real_ms(), now),
                      log_state.program, (long)getpid(), level_words[level]);
    line->length = (size_t)length;
}

static bool write_line(int fd, const char *line, size_t length)
{
    ssize_t done;

    do
        done = write(fd, line, length);
    while (done < 0 && errno == EINTR);
    return done >= 0; /* what was written in part is on the disk: a second piece would win nothing */
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
        add_head(&line, level);
    head = line.length;
    add_formatted(&line, format, args);
    line.text[line.length] = '\n';
    if (log_state.target == TARGET_FILE)
        reopen_file();
    if (log_state.target != TARGET_SYSLOG)
        written =
            write_line(log_state.target == TARGET_FILE ? log_state.fd : STDERR_FILENO, line.text, line.length + 1);
    if (!written)
        syslog(level_priorities[level], "%.*s", (int)(line.length - head), line.text + head);
    errno = saved;
}

/* ---- what log.h declares ---- */

const char *log_level_word(enum log_level level)
{
    return level_words[level];
}

bool log_level_parse(const char *word, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_words / sizeof level_words[0]; i++) {
        if (strcmp(word, level_words[i]) != 0)
            continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

static bool stderr_is_nowhere(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) != 0 || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static enum result open_target_file(const char *path, struct err *err)
{
    struct stat st;
    int fd;

    fd = open_file(path, &st);
    if (fd < 0) {
        err_set_errno(err, "cannot open the log file %s", path);
        return RESULT_FAIL;
    }
    use_file(fd, &st);
    snprintf(log_state.path, sizeof log_state.path, "%s", path);
    log_state.target = TARGET_FILE;
    return RESULT_OK;
}

enum result log_open(const char *target, enum log_level level, const char *program, struct err *err)
{
    bool to_stderr = strcmp(target, "stderr") == 0, to_syslog = strcmp(target, "syslog") == 0;

    snprintf(log_state.program, sizeof log_state.program, "%s", program);
    log_state.level = level;
    openlog(log_state.program, LOG_PID, LOG_DAEMON);
    if (!to_stderr && !to_syslog)
        return open_target_file(target, err);
    close_file();
    log_state.target = to_syslog || stderr_is_nowhere() ? TARGET_SYSLOG : TARGET_STDERR;
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
