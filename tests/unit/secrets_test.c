/*
 * SPDX-License-Identifier: ISC
 *
 * The URL secrets: what a file of them may hold, rotation while the program runs, and which URIs match.
 */
#include <config.h>

#include "conf/secrets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define OLD "old-secret-0123456789"
#define NEW "new-secret-9876543210"
#define D10 "1234567890"
#define D50 D10 D10 D10 D10 D10

static char folder[PATH_MAX], file[PATH_MAX + 32], other[PATH_MAX + 32];

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/*
 * Times of files as a file system has them that counts in seconds: what is changed within one leaves no trace. The
 * linker puts these in the C library's place.
 */
int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

static int coarsen(int result, struct stat *st)
{
    if (result == 0)
        st->st_mtim.tv_nsec = st->st_ctim.tv_nsec = 0;
    return result;
}

int __wrap_stat(const char *path, struct stat *st)
{
    return coarsen(__real_stat(path, st), st);
}

int __wrap_fstat(int fd, struct stat *st)
{
    return coarsen(__real_fstat(fd, st), st);
}

/* Writes in place, as `echo >file` does: the same inode. */
static void write_to(const char *path, const char *text)
{
    FILE *stream = fopen(path, "w");

    must(stream != NULL, path);
    must(fputs(text, stream) >= 0 && fclose(stream) == 0 && chmod(path, 0600) == 0, path);
}

static struct secrets *load(const char *text)
{
    struct secrets *secrets = NULL;
    struct err err = {""};

    write_to(file, text);
    if (secrets_load(&secrets, file, &err) != RESULT_OK)
        printf("# %s\n", err.text);
    return secrets;
}

static int matches(const struct secrets *secrets, const char *secret)
{
    char uri[1024];

    snprintf(uri, sizeof uri, "/hook/%s", secret);
    return secrets_match(secrets, uri) != NULL;
}

/* ---- the file ---- */

struct fault {
    const char *name, *text;
    unsigned line; /* 0: the message names the file alone */
    const char *said;
};

static const struct fault faults[] = {
    {"an empty file", "", 0, "holds no URL secret; make one: candhook url new"},
    {"comments alone", "# a\n\n  # b\n", 0, "holds no URL secret"},
    {"a secret of 15 characters", "\n123456789012345\n", 2, "a secret must have 16 to 255 characters"},
    {"a secret of 256 characters", D50 D50 D50 D50 D50 "123456\n", 1, "a secret must have 16 to 255 characters"},
    {"a secret with a slash", OLD "\nnew/secret-9876543210\n", 2, "a secret may hold only"},
    {"a secret with a plus", "new+secret-9876543210\n", 1, "a secret may hold only"},
    {"a secret with a percent sign", "new%2Dsecret-9876543210\n", 1, "a secret may hold only"},
    {"a secret with an equal sign", "new-secret-9876543210=\n", 1, "a secret may hold only"},
    {"a secret with a question mark", "new-secret-9876543210?\n", 1, "a secret may hold only"},
    {"a secret that is not ASCII", "new-secret-987654321\303\244\n", 1, "a secret may hold only"},
    {"a BOM", "\xef\xbb\xbf" NEW "\n", 1, "a secret may hold only"},
    {"a label with odd characters", NEW " shop/one\n", 1, "a label may hold only"},
    {"a comment behind the secret", NEW " # shop\n", 1, "a comment needs a line of its own"},
    {"a comment behind the label", NEW " shop # one\n", 1, "a comment needs a line of its own"},
    {"a label of 65 characters", NEW " " D50 "123456789012345\n", 1, "a label may have at most 64 characters"},
    {"two labels", NEW " one two\n", 1, "more than a secret, a label, and a time"},
    {"a word behind the time", NEW " one 2026-01-31T12:00:00Z two\n", 1, "more than a secret, a label and a time"},
    {"a date for a time", NEW " one 2026-01-31\n", 1, "more than a secret, a label, and a time"},
    {"a time without a zone", NEW " one 2026-01-31T12:00:00\n", 1, "more than a secret, a label, and a time"},
    {"a time of other signs", NEW " one 2026-01-31T12:00:00/1\n", 1, "more than a secret, a label, and a time"},
    {"none with a label", "none one\n", 1, "a secret must have 16 to 255 characters"},
    {"a secret twice", NEW " a\n" OLD "\n# x\n" NEW " b\n", 4, "the secret of line 1 again"},
};

static int tells_no_secret(const char *text)
{
    return strstr(text, "9876") == NULL && strstr(text, "0123") == NULL && strstr(text, "12345") == NULL &&
           strstr(text, "shop") == NULL;
}

static void check_fault(const struct fault *fault)
{
    struct secrets *secrets = NULL;
    char where[sizeof file + 32];
    struct err err = {""};
    int right;

    if (fault->line > 0)
        snprintf(where, sizeof where, "%s:%u: ", file, fault->line);
    else
        snprintf(where, sizeof where, "%s ", file);
    write_to(file, fault->text);
    right = secrets_load(&secrets, file, &err) == RESULT_FAIL && strncmp(err.text, where, strlen(where)) == 0 &&
            strstr(err.text, fault->said) != NULL && tells_no_secret(err.text);
    if (!ok(right, "%s", fault->name))
        printf("# got: %s\n# wanted: %s... %s\n", err.text, where, fault->said);
    secrets_free(secrets);
}

static void check_shapes(void)
{
    struct secrets *secrets = load("# the shop\r\n\t" NEW "\tshop\t\r\n\n  " OLD "\n1234567890-_.~AZ  " D50
                                   "1234567890-_.~\n" D50 D50 D50 D50 D50 "12345");

    must(secrets != NULL, "load");
    ok(secrets_count(secrets) == 4, "four secrets among comments, blanks and CRLF");
    is_text(secrets_label(secrets, 0), "shop", "the first has its label");
    is_text(secrets_label(secrets, 1), "", "the second has none");
    ok(strlen(secrets_label(secrets, 2)) == SECRETS_LABEL_BYTES, "a label of the longest kind");
    is_text(secrets_match(secrets, "/" NEW), "shop", "the label is what a match gives");
    is_text(secrets_match(secrets, "/" OLD), "", "or an empty one");
    ok(matches(secrets, "1234567890-_.~AZ"), "a secret of 16 characters of all kinds");
    ok(matches(secrets, D50 D50 D50 D50 D50 "12345"), "one of 255, on a last line without line feed");
    secrets_free(secrets);
}

static void check_many(void)
{
    char text[100 * 20 + 64] = "", last[32] = "";
    struct secrets *secrets;
    struct err err = {""};

    for (int i = 0; i < 100; i++) {
        snprintf(last, sizeof last, "secret-%010d\n", i);
        strcat(text, last);
    }
    secrets = load(text);
    ok(secrets != NULL && secrets_count(secrets) == 100 && matches(secrets, "secret-0000000000") &&
           matches(secrets, "secret-0000000099"),
       "a hundred secrets");
    secrets_free(secrets);
    strcat(text, "secret-0000000100\n");
    write_to(file, text);
    ok(secrets_load(&secrets, file, &err) == RESULT_FAIL && strstr(err.text, ":101: more than 100 secrets") != NULL,
       "and not one more");
}

static void refused(const char *name, const char *said)
{
    struct secrets *secrets = NULL;
    struct err err = {""};

    if (!ok(secrets_load(&secrets, file, &err) == RESULT_FAIL && strstr(err.text, said) != NULL, "%s is refused", name))
        printf("# got: %s\n# wanted: %s\n", err.text, said);
    secrets_free(secrets);
}

static void check_access(void)
{
    static const mode_t bad[] = {0640, 0604, 0660, 0620, 0610, 0601, 0644};
    struct secrets *secrets;
    char name[32];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_to(file, NEW);
        must(chmod(file, bad[i]) == 0, "chmod");
        snprintf(name, sizeof name, "mode %04o", (unsigned)bad[i]);
        refused(name, "`chmod 600 ");
    }
    secrets = load(NEW);
    secrets_free(secrets);
    must(chmod(file, 0400) == 0, "chmod");
    ok(secrets_load(&secrets, file, &(struct err){""}) == RESULT_OK, "mode 0400 is accepted");
    secrets_free(secrets);
    if (geteuid() == 0) {
        must(chown(file, 65534, 65534) == 0, "chown");
        refused("another user's file", "belongs to ");
        must(chown(file, 0, 0) == 0 && chmod(file, 0644) == 0 && chmod(folder, 0711) == 0, "chmod");
        must(seteuid(65534) == 0, "seteuid");
        refused("root's file, for another user,", "belongs to root");
        must(seteuid(0) == 0 && chmod(folder, 0700) == 0, "seteuid");
    }
    unlink(file);
    refused("a file that is not there", "make one: candhook url new");
    must(mkdir(file, 0700) == 0, "mkdir");
    refused("a folder", "not a regular file");
    must(rmdir(file) == 0, "rmdir");
}

/* ---- rotation ---- */

static int refreshes(struct secrets *secrets)
{
    struct err err = {""};

    if (secrets_refresh(secrets, &err) == RESULT_OK)
        return 1;
    printf("# %s\n", err.text);
    return 0;
}

static void check_rotation(void)
{
    struct secrets *secrets = load(OLD "\n");

    must(secrets != NULL, "load");
    ok(refreshes(secrets) && matches(secrets, OLD), "nothing changed");
    write_to(file, NEW "\n");
    ok(matches(secrets, OLD) && !matches(secrets, NEW), "a change counts from the refresh on");
    ok(refreshes(secrets) && matches(secrets, NEW) && !matches(secrets, OLD), "rewritten in place, with the same size");
    for (int i = 0; i < 50; i++) { /* faster than the times of files count */
        write_to(file, i % 2 ? NEW "\n" : OLD "\n");
        if (!refreshes(secrets) || !matches(secrets, i % 2 ? NEW : OLD) || matches(secrets, i % 2 ? OLD : NEW))
            must(0, "a rewrite was missed");
    }
    ok(1, "rewritten in place fifty times in a row");
    write_to(other, OLD " a\n" NEW " b\n");
    must(rename(other, file) == 0, "rename");
    ok(refreshes(secrets) && secrets_count(secrets) == 2, "renamed over");
    is_text(secrets_match(secrets, "/" OLD), "a", "both are in force: the old one,");
    is_text(secrets_match(secrets, "/" NEW), "b", "and the new one");
    secrets_free(secrets);
}

/* Each fault is told once, however often one asks, and what was in force stays so. */
static void check_fault_told_once(struct secrets *secrets, const char *name, const char *said)
{
    struct err err = {""};
    int again = 0;

    ok(secrets_refresh(secrets, &err) == RESULT_FAIL && strstr(err.text, said) != NULL, "%s is an error", name);
    for (int i = 0; i < 5; i++)
        again += secrets_refresh(secrets, &err) != RESULT_OK;
    ok(again == 0, "%s is told once", name);
    ok(matches(secrets, OLD), "%s leaves the old secrets in force", name);
}

static void check_faults_while_running(void)
{
    struct secrets *secrets = load(OLD "\n");

    must(secrets != NULL, "load");
    write_to(file, "short\n");
    check_fault_told_once(secrets, "a short secret", ":1: a secret must have 16");
    write_to(file, "another\nshort\n");
    check_fault_told_once(secrets, "another fault", ":1: a secret must have 16");
    write_to(file, "");
    check_fault_told_once(secrets, "an empty file", "holds no URL secret");
    must(unlink(file) == 0, "unlink");
    check_fault_told_once(secrets, "a file that went away", "there is no file of URL secrets");
    write_to(file, NEW "\n");
    must(chmod(file, 0644) == 0, "chmod");
    check_fault_told_once(secrets, "a file that others can read", "`chmod 600 ");
    must(chmod(file, 0600) == 0, "chmod");
    ok(refreshes(secrets) && matches(secrets, NEW) && !matches(secrets, OLD), "a chmod alone mends it");
    write_to(file, "short\n");
    ok(!refreshes(secrets), "a fault again is told again");
    write_to(file, OLD "\n");
    ok(refreshes(secrets) && matches(secrets, OLD), "and mended again");
    secrets_free(secrets);
}

/* ---- matching ---- */

struct sample {
    const char *uri;
    int match;
};

static const struct sample samples[] = {
    {"/" NEW, 1},
    {"/hook/" NEW, 1},
    {"/a/b/c/" NEW, 1},
    {"//" NEW, 1},
    {NEW, 1},
    {"/hook/" NEW "?x=1", 1},
    {"/hook/" NEW "?", 1},
    {"/hook/" NEW "?/" OLD, 1},
    {"https://www.example.com/hook/" NEW, 1},

    {"", 0},
    {"/", 0},
    {"/hook/", 0},
    {"/hook/" NEW "/", 0},
    {"/" NEW "/hook", 0},
    {"/hook/" NEW "x", 0},
    {"/hook/x" NEW, 0},
    {"/hook/new-secret-987654321", 0},
    {"/hook/ew-secret-9876543210", 0},
    {"/hook/New-secret-9876543210", 0},
    {"/hook/new-secret-9876543211", 0},
    {"/hook/new%2Dsecret-9876543210", 0},
    {"/hook/?" NEW, 0},
    {"/hook?x=/" NEW, 0},
    {"/hook/#" NEW, 0},
    {"?" NEW, 0},
    {"/hook/" NEW " shop", 0},
    {"/" D50 D50 D50 D50 D50 "12345", 0},
    {"/" D50 D50 D50 D50 D50 "123456", 0},
    {"/" D50 D50 D50 D50 D50 D50 D50 D50 D50 D50, 0},
};

static void check_match(void)
{
    struct secrets *secrets = load("first-secret-0123456789 first\n" NEW " shop\nlast-secret-0123456789 last\n");

    must(secrets != NULL, "load");
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *label = secrets_match(secrets, samples[i].uri);

        ok(samples[i].match ? label != NULL && strcmp(label, "shop") == 0 : label == NULL, "%s %.60s",
           samples[i].match ? "matches:" : "does not match:", samples[i].uri);
    }
    is_text(secrets_match(secrets, "/first-secret-0123456789"), "first", "the first of the file");
    is_text(secrets_match(secrets, "/last-secret-0123456789"), "last", "the last of the file");
    secrets_free(secrets);
}

/* ---- what may be told of them ---- */

static void check_telling(void)
{
    struct secrets *secrets = load(NEW " shop 2026-01-31T12:00:00Z\n" OLD " 2026-01-31T12:00:00.123+01:00\n");
    struct secrets_about about;

    must(secrets != NULL, "load");
    secrets_tell(secrets, 0, &about);
    is_text(about.label, "shop", "its label");
    is_text(about.made, "2026-01-31T12:00:00Z", "when it was made");
    is_text(about.shown, "new-", "its first characters");
    is_text(about.name, "shop=new-", "its name");
    ok(about.length == strlen(NEW) && about.line == 1, "its length and line");
    secrets_tell(secrets, 1, &about);
    is_text(about.label, "", "a time is no label");
    is_text(about.made, "2026-01-31T12:00:00.123+01:00", "but a time");
    is_text(about.name, "=old-", "a name without a label");
    is_text(secrets_text(secrets, 1), OLD, "the secret itself");
    secrets_free(secrets);
}

static void check_use(void)
{
    struct secrets *secrets = load(NEW " shop\n" OLD " shop\n");
    char name[SECRETS_NAME_BYTES];
    const char *first, *second;

    must(secrets != NULL, "load");
    first = secrets_match(secrets, "/" NEW);
    second = secrets_match(secrets, "/" OLD);
    ok(secrets_note_use(secrets, first, 1000, name), "the first use is to be written down");
    is_text(name, "shop=new-", "under its name");
    ok(!secrets_note_use(secrets, first, 60999, name), "within a minute no other");
    ok(secrets_note_use(secrets, second, 60999, name) && strcmp(name, "shop=old-") == 0,
       "one of the same label is another secret");
    ok(secrets_note_use(secrets, first, 61000, name), "after a minute again");
    ok(!secrets_note_use(secrets, "shop", 999999, name), "what is no secret's label is not noted");
    secrets_free(secrets);
}

static void check_none(void)
{
    struct secrets *secrets = load("# all retired\n none \n");
    struct err err;

    ok(secrets != NULL && secrets_count(secrets) == 0, "none, on purpose");
    must(secrets != NULL, "load");
    ok(!matches(secrets, "none"), "and `none` is no secret");
    write_to(file, NEW "\n");
    ok(secrets_refresh(secrets, &err) == RESULT_OK && matches(secrets, NEW), "until there is one again");
    write_to(file, "none\n");
    ok(secrets_refresh(secrets, &err) == RESULT_OK && !matches(secrets, NEW), "and none again: the old one is gone");
    secrets_free(secrets);
    write_to(file, "# nothing\n");
    secrets = NULL;
    ok(secrets_load_any(&secrets, file, &err) == RESULT_OK && secrets_count(secrets) == 0,
       "for people an empty file is fine");
    secrets_free(secrets);
}

int main(void)
{
    const char *temp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
    snprintf(file, sizeof file, "%s/secrets", folder);
    snprintf(other, sizeof other, "%s/secrets.new", folder);

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        check_fault(&faults[i]);
    check_shapes();
    check_many();
    check_access();
    check_rotation();
    check_faults_while_running();
    check_match();
    check_telling();
    check_use();
    check_none();
    secrets_free(NULL);
    unlink(file);
    ok(rmdir(folder) == 0, "nothing is left");
    return done();
}
