/*
 * SPDX-License-Identifier: ISC
 *
 * Changing a file that others read: one at a time, and not at all when it cannot be written. And private files that
 * cannot be read. Linked with a clock that runs ahead.
 */
#include <config.h>

#include "base/file_edit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/user_name.h"
#include "spool_rig.h"
#include "tap.h"

static int64_t clock_step_ms; /* by which each look at the clock puts it ahead */
static char edited[200];
static int told[2];

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);

int64_t __wrap_clock_monotonic_ms(void)
{
    static int64_t ahead_ms;

    return __real_clock_monotonic_ms() + (ahead_ms += clock_step_ms);
}

static struct file_edit edit_of(const char *path)
{
    return (struct file_edit){.path = path, .setting = "url_secrets", .max = 1000};
}

/* Another program that changes the file, and takes its time. */
static int edit_for_ever(void *context)
{
    struct file_edit edit = edit_of(edited);
    struct err err;

    (void)context;
    if (file_edit_open(&edit, &err) != RESULT_OK)
        return 1;
    rig_tell(told[1]);
    pause();
    return 0;
}

static void test_held(void)
{
    struct file_edit edit = edit_of(edited);
    char wanted[300];
    struct err err;
    pid_t child;

    if (pipe(told) != 0)
        exit(99);
    child = rig_start(edit_for_ever, NULL);
    rig_hear(told[0]);
    clock_step_ms = 1000;
    ok(file_edit_open(&edit, &err) == RESULT_RETRY, "a file that another program changes cannot be changed");
    clock_step_ms = 0;
    snprintf(wanted, sizeof wanted, "another program has been changing %s for 10 s", edited);
    is_text(err.text, wanted, "after ten seconds that is said");
    file_edit_close(&edit);
    kill(child, SIGKILL);
    rig_wait(child);
    edit = edit_of(edited);
    ok(file_edit_open(&edit, &err) == RESULT_OK && file_edit_replace(&edit, "one\n", 4, &err) == RESULT_OK,
       "when that is killed, it can");
    file_edit_close(&edit);
}

static int edit_over_limit(void *context)
{
    struct file_edit edit = edit_of(edited);
    const struct rlimit limit = {2, 2};
    struct err err;
    int refused;

    (void)context;
    signal(SIGXFSZ, SIG_IGN);
    if (file_edit_open(&edit, &err) != RESULT_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    refused = file_edit_replace(&edit, "two\n", 4, &err) == RESULT_FAIL && strstr(err.text, "cannot write ") &&
              strstr(err.text, "File too large");
    file_edit_close(&edit);
    return refused ? 0 : 2;
}

static void test_no_room(const struct rig *rig)
{
    size_t length;
    uint8_t *text;
    struct stat st;

    ok(rig_run(edit_over_limit, NULL) == 0, "a file that cannot be written is an error");
    text = rig_read(rig, "secrets", &length);
    ok(text != NULL && length == 4 && memcmp(text, "one\n", 4) == 0, "and stays as it was");
    ok(fstatat(rig->folder, "secrets.new", &st, 0) != 0, "with nothing beside it");
    free(text);
}

/* A regular file that cannot be read from its beginning. */
static void test_unreadable(void)
{
    struct err err = {""};
    char *secret;

    ok(private_file_read_secret("/proc/self/mem", &secret, &err) == RESULT_FAIL && secret == NULL,
       "a private file that cannot be read is an error");
    is_text(err.text, "cannot read /proc/self/mem: Input/output error", "that names it");
}

static void test_user_names(void)
{
    struct user_name room;

    is_text(user_name_of(&room, 0), "root", "a user's name");
    is_text(user_name_of(&room, 3999999999u), "3999999999", "the number of one without a name");
}

int main(void)
{
    struct rig rig;

    rig_open(&rig);
    snprintf(edited, sizeof edited, "%s/secrets", rig.path);
    test_held();
    test_no_room(&rig);
    test_unreadable();
    test_user_names();
    rig_close(&rig);
    return done();
}
