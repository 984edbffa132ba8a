/*
 * SPDX-License-Identifier: ISC
 *
 * The log. A line for stderr or a file is
 *
 *     2026-11-23T20:15:00.123Z candhook.fcgi[1234] warning: text
 *
 * written by one write(2), so that the lines of several processes do not mix; syslog adds time, name and pid itself.
 * Control bytes in the text are escaped here once more: even a message of another program (PostgreSQL's have line
 * feeds) stays one line. A line that cannot be written goes to syslog.
 */
#include <config.h>

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096 /* longest line with its line feed: a pipe takes so much in one piece */

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

static int is_our_file(const struct stat *st)
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

static int fd_is_our_file(void)
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
static void tend_file(void)
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

static int is_control(const unsigned char *text)
{
    /* 0xc2 0x80 to 0xc2 0x9f are control characters too, written in UTF-8. */
    return *text < 0x20 || *text == 0x7f || (*text == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f);
}

/* Copies TEXT with control bytes escaped, cut to ROOM bytes; no NUL behind it. Returns how many bytes were written. */
static size_t copy_escaped(char *to, size_t room, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + 4 <= room; text++) {
        if (is_control((const unsigned char *)text))
            used += escape(to + used, (unsigned char)*text);
        else
            to[used++] = *text;
    }
    return used;
}

static size_t write_head(char *line, size_t room, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    used = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, room - used, ".%03dZ %s[%ld] %s: ", (int)(now.tv_nsec / 1000000),
                             log_state.program, (long)getpid(), level_words[level]);
    return used;
}

static int write_line(int fd, const char *line, size_t length)
{
    ssize_t done;

    do
        done = write(fd, line, length);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -1 : 0; /* what was written in part is on the disk: nothing would be won by a second piece */
}

static void put(enum log_level level, const char *text)
{
    char line[LINE_BYTES];
    size_t head = 0, length;
    int written = -1;

    if (log_state.target != TARGET_SYSLOG)
        head = write_head(line, sizeof line, level);
    length = head + copy_escaped(line + head, sizeof line - 1 - head, text);
    line[length] = '\n';
    if (log_state.target == TARGET_FILE)
        tend_file();
    if (log_state.target != TARGET_SYSLOG)
        written = write_line(log_state.target == TARGET_FILE ? log_state.fd : STDERR_FILENO, line, length + 1);
    if (written != 0)
        syslog(level_priorities[level], "%.*s", (int)(length - head), line + head);
}

/* ---- for the others ---- */

static int stderr_is_nowhere(void)
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
    int to_stderr = strcmp(target, "stderr") == 0, to_syslog = strcmp(target, "syslog") == 0;

    snprintf(log_state.program, sizeof log_state.program, "%s", program);
    log_state.level = level;
    openlog(log_state.program, LOG_PID, LOG_DAEMON);
    if (!to_stderr && !to_syslog)
        return open_target_file(target, err);
    close_file();
    log_state.target = to_syslog || stderr_is_nowhere() ? TARGET_SYSLOG : TARGET_STDERR;
    return RESULT_OK;
}

__attribute__((format(printf, 2, 0))) static void put_formatted(enum log_level level, const char *format, va_list args)
{
    char text[LINE_BYTES];
    int saved = errno;

    if (level > log_state.level)
        return;
    vsnprintf(text, sizeof text, format, args);
    put(level, text);
    errno = saved;
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_formatted(LOG_LEVEL_ERROR, format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_formatted(LOG_LEVEL_WARNING, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_formatted(LOG_LEVEL_INFO, format, args);
    va_end(args);
}

void log_debug(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_formatted(LOG_LEVEL_DEBUG, format, args);
    va_end(args);
}

const char *log_quote(struct log_quoted *room, const char *text, size_t length)
{
    const size_t last = sizeof room->text - sizeof "...\""; /* where the end must begin at the latest */
    char *to = room->text;
    size_t used = 0, i;

    if (text == NULL)
        return strcpy(room->text, "null");
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
    return room->text;
}
