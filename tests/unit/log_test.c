/*
 * SPDX-License-Identifier: ISC
 *
 * The log: the form of a line, that none can be forged, and that none goes to nowhere. syslog is faked: the functions
 * below stand in for the C library's.
 */
#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static char folder[PATH_MAX], file[PATH_MAX + 32], other[PATH_MAX + 32];

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- a syslog of our own ---- */

static char syslog_ident[64], syslog_text[8192];
static int syslog_count, syslog_priority = -1, syslog_option;

void openlog(const char *ident, int option, int facility);
void syslog(int priority, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...);

void openlog(const char *ident, int option, int facility)
{
    syslog_option = option;
    (void)facility;
    snprintf(syslog_ident, sizeof syslog_ident, "%s", ident);
}

__attribute__((format(printf, 1, 0))) static void take_syslog(const char *format, va_list args)
{
    vsnprintf(syslog_text, sizeof syslog_text, format, args);
    syslog_count++;
}

__attribute__((format(printf, 2, 3))) void syslog(int priority, const char *format, ...)
{
    va_list args;

    syslog_priority = priority;
    va_start(args, format);
    take_syslog(format, args);
    va_end(args);
}

/* What a fortified call becomes. */
__attribute__((format(printf, 3, 4))) void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list args;

    (void)flag;
    syslog_priority = priority;
    va_start(args, format);
    take_syslog(format, args);
    va_end(args);
}

/* ---- standard error, one message a write ---- */

static int real_stderr, ear;

static void catch_stderr(void)
{
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    must(dup2(pair[1], STDERR_FILENO) == STDERR_FILENO, "dup2");
    close(pair[1]);
    ear = pair[0];
}

static void release_stderr(void)
{
    must(dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO, "dup2");
    close(ear);
}

/* What the next write wrote, "" when there was none. */
static const char *heard(void)
{
    static char text[16384];
    ssize_t length = recv(ear, text, sizeof text - 1, MSG_DONTWAIT);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

static int fits(const char *text, const char *pattern)
{
    regex_t regex;
    int fit;

    must(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0, pattern);
    fit = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return fit;
}

static void open_log(const char *target, enum log_level level)
{
    struct err err = {""};

    must(log_open(target, level, "candhook.fcgi", &err) == RESULT_OK, err.text);
}

/* ---- lines ---- */

static void check_before_open(void)
{
    catch_stderr();
    log_info("early key=%d", 7);
    ok(fits(heard(), "Z candhook\\[[0-9]+\\] info: early key=7\n$"), "before it is opened, lines go to stderr");
    log_debug("too much");
    is_text(heard(), "", "at level info");
    release_stderr();
}

static void check_form(void)
{
    char wanted[256];
    const char *line;

    catch_stderr();
    open_log("stderr", LOG_LEVEL_DEBUG);
    snprintf(wanted, sizeof wanted,
             "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z candhook\\.fcgi\\[%ld\\] "
             "warning: id=1 text\n$",
             (long)getpid());
    log_warning("id=%d %s", 1, "text");
    line = heard();
    if (!ok(fits(line, wanted), "time, program, pid, level, text, in one write"))
        printf("# %s", line);
    log_error("x");
    ok(fits(heard(), " error: x\n$"), "error");
    log_info("x");
    ok(fits(heard(), " info: x\n$"), "info");
    log_debug("x");
    ok(fits(heard(), " debug: x\n$"), "debug");
    ok(syslog_count == 0, "none of it went to syslog");
    release_stderr();
}

static void check_levels(void)
{
    catch_stderr();
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        int lines = 0;

        open_log("stderr", (enum log_level)level);
        log_error("x");
        log_warning("x");
        log_info("x");
        log_debug("x");
        while (*heard() != '\0')
            lines++;
        ok(lines == level + 1, "level %d lets %d of 4 through", level, level + 1);
    }
    release_stderr();
}

/* What a value of a format becomes in the line. */
static void check_value(const char *text, const char *wanted)
{
    const char *line;

    log_info("key=%s next=%d", text, 1);
    line = strstr(heard(), "key=");
    ok(line != NULL && strncmp(line + 4, wanted, strlen(wanted)) == 0 &&
           strcmp(line + 4 + strlen(wanted), " next=1\n") == 0,
       "a value: %s", wanted);
}

static void check_forging(void)
{
    char *long_text = calloc(1, 10000);
    const char *line;

    catch_stderr();
    open_log("stderr", LOG_LEVEL_INFO);
    check_value("plain", "plain");
    check_value("/var/lib/a-b_c.d:8080@x,y+z", "/var/lib/a-b_c.d:8080@x,y+z");
    check_value("", "\"\"");
    check_value(NULL, "null");
    check_value("two words", "\"two words\"");
    check_value("a=b", "\"a=b\"");
    check_value("x\" other=\"y", "\"x\\\" other=\\\"y\"");
    check_value("a\n2026-01-01T00:00:00.000Z candhook[1] error: b",
                "\"a\\n2026-01-01T00:00:00.000Z candhook[1] error: b\"");
    check_value("\r\t\x1b[31m\x7f\xc2\x9b\xc3\xa4", "\"\\r\\t\\x1b[31m\\x7f\\xc2\\x9b\\xc3\\xa4\"");
    is_text(heard(), "", "none of them makes a second line");
    log_info("a=%d b=%ld c=%lu d=%zu e=\"fixed text\"", -1, -2L, 3UL, (size_t)4);
    ok(fits(heard(), " info: a=-1 b=-2 c=3 d=4 e=\"fixed text\"\n$"), "numbers stand as they are");
    memset(long_text, 'y', 9999);
    log_info("a=%s b=%s c=%s", long_text, long_text, long_text);
    line = heard();
    ok(strlen(line) <= 4096 && fits(line, "a=\"y+\\.\\.\\.\" b=\"y+\\.\\.\\.\" c=\"y+\n$"),
       "long values are cut, and so is a long line");
    memset(long_text, '\n', 9999);
    log_info("a=%s", long_text);
    line = heard();
    ok(strlen(line) <= 4096 && strchr(line, '\n') == line + strlen(line) - 1, "also one that grows by escapes");
    release_stderr();
    free(long_text);
}

struct quote {
    const char *text;
    size_t length;
    const char *wanted;
};

static const struct quote quotes[] = {
    {"", 0, "\"\""},
    {"plain text", 10, "\"plain text\""},
    {"cut here", 3, "\"cut\""},
    {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
    {"\n\r\t\033\0\177\200\377", 8, "\"\\n\\r\\t\\x1b\\x00\\x7f\\x80\\xff\""},
    {"\303\244", 2, "\"\\xc3\\xa4\""},
    {"%s%n", 4, "\"%s%n\""},
};

static void check_quote(void)
{
    struct log_quoted room;
    char text[1000];
    int whole = 1;

    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++)
        is_text(log_quote(&room, quotes[i].text, quotes[i].length), quotes[i].wanted, quotes[i].wanted);
    memset(text, 'a', sizeof text);
    log_quote(&room, text, sizeof text);
    ok(strlen(room.text) < sizeof room.text && strlen(room.text) > 500 && fits(room.text, "^\"a+\\.\\.\\.\"$"),
       "a long text is cut and says so");
    memset(text, '\n', sizeof text);
    log_quote(&room, text, sizeof text);
    ok(fits(room.text, "^\"(\\\\n)+\\.\\.\\.\"$"), "never in the middle of an escape");
    for (size_t length = 490; length < 520; length++) {
        memset(text, '\1', sizeof text);
        memset(text, 'a', length);
        log_quote(&room, text, sizeof text);
        whole = whole && memchr(room.text, '\0', sizeof room.text) != NULL &&
                fits(room.text, "^\"a+(\\\\x01)*\\.\\.\\.\"$");
    }
    ok(whole, "wherever it is cut");
}

/* ---- where lines go ---- */

static void check_syslog(void)
{
    static const int priorities[] = {3, 4, 6, 7};

    open_log("syslog", LOG_LEVEL_DEBUG);
    is_text(syslog_ident, "candhook.fcgi", "syslog has the program's name");
    ok(syslog_option & 8 /* LOG_NDELAY */, "and its socket is opened at once: later a confined process may open none");
    log_error("id=%s", "a\nb");
    is_text(syslog_text, "id=\"a\\nb\"", "and the text alone, escaped");
    ok(syslog_priority == priorities[0], "errors as LOG_ERR");
    log_warning("x");
    ok(syslog_priority == priorities[1], "warnings as LOG_WARNING");
    log_info("x");
    ok(syslog_priority == priorities[2], "info as LOG_INFO");
    log_debug("x");
    ok(syslog_priority == priorities[3], "debug as LOG_DEBUG");
}

static void check_nowhere(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), before = syslog_count;

    must(null >= 0 && dup2(null, STDERR_FILENO) >= 0, "/dev/null");
    open_log("stderr", LOG_LEVEL_INFO);
    log_info("to /dev/null");
    ok(syslog_count == before + 1 && strcmp(syslog_text, "to /dev/null") == 0,
       "with stderr on /dev/null, syslog is taken");
    close(STDERR_FILENO);
    open_log("stderr", LOG_LEVEL_INFO);
    log_info("closed");
    ok(syslog_count == before + 2 && strcmp(syslog_text, "closed") == 0, "with stderr closed, syslog is taken");
    catch_stderr();
    open_log("stderr", LOG_LEVEL_INFO);
    close(ear);
    errno = EBADMSG;
    log_info("gone");
    ok(errno == EBADMSG, "errno is left alone when a write fails, too");
    ok(syslog_count == before + 3 && strcmp(syslog_text, "gone") == 0,
       "a line that stderr does not take goes to syslog");
    must(dup2(real_stderr, STDERR_FILENO) >= 0, "dup2");
    open_log("/dev/full", LOG_LEVEL_INFO);
    log_info("full");
    ok(syslog_count == before + 4 && strcmp(syslog_text, "full") == 0, "and so does one for a full disk");
    close(null);
}

static int count_lines(const char *path, const char *text)
{
    FILE *stream = fopen(path, "r");
    char line[8192];
    int count = 0;

    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        count += strstr(line, text) != NULL;
    if (stream != NULL)
        fclose(stream);
    return count;
}

static void check_file(void)
{
    struct stat st;

    umask(0);
    open_log(file, LOG_LEVEL_INFO);
    umask(022);
    log_info("one");
    log_debug("not this");
    must(stat(file, &st) == 0, "stat");
    ok((st.st_mode & 07777) == 0600, "a file is made 0600");
    open_log(file, LOG_LEVEL_INFO);
    log_info("two");
    ok(count_lines(file, "Z candhook.fcgi[") == 2 && count_lines(file, "] info: one\n") == 1 &&
           count_lines(file, "] info: two\n") == 1,
       "and appended to");
}

/* Logs until the line is in the new file: the old one is noticed once a second. */
static int arrives(const char *text)
{
    for (int i = 0; i < 600; i++) {
        log_info("%s", text);
        if (count_lines(file, text) > 0)
            return 1;
        poll(NULL, 0, 50);
    }
    return 0;
}

static void check_rotation(void)
{
    log_info("before");
    must(rename(file, other) == 0, "rename");
    ok(arrives("after-rename"), "a file that was renamed away is made anew");
    ok(count_lines(other, "before") == 1, "and the old one keeps its lines");
    must(unlink(file) == 0, "unlink");
    ok(arrives("after-unlink"), "so is one that was removed");
    must(unlink(file) == 0 && mkdir(file, 0700) == 0, "mkdir");
    log_info("no way");
    must(rmdir(file) == 0, "rmdir");
    ok(arrives("after-folder"), "one that could not be opened for a while is there in the end");
    unlink(other);
}

static void close_all_but_standard(void)
{
    for (int fd = 3; fd < 256; fd++)
        close(fd);
}

/* A child that closed everything must not write its lines into whatever it opened next. */
static void check_child(void)
{
    int status, last = -1, lost = 0;
    struct stat st;
    pid_t pid;

    open_log(file, LOG_LEVEL_INFO);
    fflush(stdout);
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        close_all_but_standard();
        for (int i = 0; i < 16; i++)
            last = open(other, O_WRONLY | O_CREAT | O_APPEND, 0600);
        log_info("from-the-child");
        for (int fd = 3; fd <= last; fd++)
            lost += fcntl(fd, F_GETFD) < 0;
        _exit(last < 3 || lost > 0);
    }
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    ok(status == 0, "a child's own descriptors stay open");
    ok(count_lines(file, "from-the-child") == 1, "a child that closed all descriptors opens the log again");
    must(stat(other, &st) == 0, "stat");
    ok(st.st_size == 0, "and writes into no other file");
    log_info("from-the-parent");
    ok(count_lines(file, "from-the-parent") == 1, "the parent's goes on");
    unlink(other);
}

/* The same where the log cannot be opened again. */
static void check_child_without_log(void)
{
    int status, last = -1;
    struct stat st;
    pid_t pid;

    open_log(file, LOG_LEVEL_INFO);
    must(unlink(file) == 0 && mkdir(file, 0700) == 0, "mkdir");
    fflush(stdout);
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        int before = syslog_count;

        close_all_but_standard();
        for (int i = 0; i < 16; i++)
            last = open(other, O_WRONLY | O_CREAT | O_APPEND, 0600);
        log_info("from-the-child");
        _exit(last < 3 || syslog_count != before + 1 || strcmp(syslog_text, "from-the-child") != 0);
    }
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    must(stat(other, &st) == 0, "stat");
    ok(status == 0 && st.st_size == 0, "one that can open no log takes syslog, and writes into no other file");
    must(rmdir(file) == 0, "rmdir");
    unlink(other);
    open_log(file, LOG_LEVEL_INFO);
}

/* The log must not be what others later take for a standard descriptor. */
static void check_low_descriptors(void)
{
    int in = dup(STDIN_FILENO), found = 0;
    struct stat log_file, st;

    must(stat(file, &log_file) == 0, "stat");
    close(STDIN_FILENO);
    open_log(file, LOG_LEVEL_INFO);
    for (int fd = 0; fd <= 2; fd++)
        found += fstat(fd, &st) == 0 && st.st_ino == log_file.st_ino && st.st_dev == log_file.st_dev;
    ok(found == 0, "with descriptor 0 closed, the log takes another");
    if (in >= 0) {
        dup2(in, STDIN_FILENO);
        close(in);
    }
}

static void refused(const char *target, const char *name)
{
    struct err err = {""};

    ok(log_open(target, LOG_LEVEL_INFO, "candhook", &err) == RESULT_FAIL && strstr(err.text, target) != NULL,
       "%s is refused, and named", name);
}

static void check_refused(void)
{
    char path[PATH_MAX + 32];
    int reader;

    snprintf(path, sizeof path, "%s/none/log", folder);
    refused(path, "a file in a folder that is not there");
    refused(folder, "a folder");
    snprintf(path, sizeof path, "%s/fifo", folder);
    must(mkfifo(path, 0600) == 0, "mkfifo");
    refused(path, "a FIFO without a reader");
    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    must(reader >= 0, "open");
    refused(path, "a FIFO with one");
    close(reader);
    unlink(path);
    log_info("still here");
    ok(count_lines(file, "still here") == 1, "the log that was open goes on");
}

int main(void)
{
    const char *temp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
    snprintf(file, sizeof file, "%s/log", folder);
    snprintf(other, sizeof other, "%s/log.1", folder);
    real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

    check_before_open();
    check_form();
    check_levels();
    check_forging();
    check_quote();
    check_syslog();
    check_nowhere();
    check_file();
    check_rotation();
    check_child();
    check_child_without_log();
    check_low_descriptors();
    check_refused();
    unlink(file);
    ok(rmdir(folder) == 0, "nothing is left");
    return done();
}
