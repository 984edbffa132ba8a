/*
 * SPDX-License-Identifier: ISC
 *
 * The file of the configuration: one that another user or a web server could read is refused, and so is one in the
 * wrong place.
 */
#include <config.h>

#include "conf/conf.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_rig.h"
#include "tap.h"

/* ---- whose file, and where ---- */

static void refused(const char *name, const char *said)
{
    struct conf *conf = NULL;
    struct err err = {""};

    if (!ok(conf_load(&conf, &err) == RESULT_FAIL && strstr(err.text, said) != NULL, "%s is refused", name))
        printf("# got: %s\n# wanted: %s\n", err.text, said);
    conf_free(conf);
}

static void accepted(const char *name)
{
    struct conf *conf = NULL;
    struct err err = {""};

    if (!ok(conf_load(&conf, &err) == RESULT_OK, "%s is accepted", name))
        printf("# got: %s\n", err.text);
    conf_free(conf);
}

static void check_modes(void)
{
    static const mode_t good[] = {0600, 0400, 0640, 0440, 0700};
    static const mode_t bad[] = {0644, 0604, 0602, 0606, 0660, 0620, 0666, 04644};
    char text[PATH_MAX + 128];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        write_text(BASE);
        must(chmod(file, good[i]) == 0, "chmod");
        snprintf(text, sizeof text, "mode %04o", (unsigned)good[i]);
        accepted(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char said[sizeof file + 128];

        write_text(BASE);
        must(chmod(file, bad[i]) == 0, "chmod");
        snprintf(text, sizeof text, "mode %04o", (unsigned)bad[i]);
        snprintf(said, sizeof said, "has mode %04o, so that others may read or change it: `chmod g-w,o-rw %s`",
                 (unsigned)bad[i], file);
        refused(text, said);
    }
}

static void check_owner(void)
{
    char said[sizeof file + 64];

    write_text(BASE);
    if (geteuid() != 0) {
        ok(1, "another user's file # SKIP only root can make one");
        return;
    }
    must(chown(file, 65534, 65534) == 0, "chown");
    snprintf(said, sizeof said, "or `chown root %s`", file);
    refused("another user's file", said);
    write_text(BASE);
    must(seteuid(65534) == 0, "seteuid");
    refused("a file that this user cannot open", "Permission denied");
    must(seteuid(0) == 0 && chmod(file, 0640) == 0 && chown(file, 0, 65534) == 0, "chown");
    must(chmod(folder, 0711) == 0 && setegid(65534) == 0 && seteuid(65534) == 0, "setegid");
    accepted("root's file, readable by this user's group,");
    must(seteuid(0) == 0 && setegid(0) == 0 && chmod(folder, 0700) == 0, "setegid");
}

static void check_kinds(void)
{
    unlink(file);
    must(mkfifo(file, 0600) == 0, "mkfifo");
    refused("a FIFO, without waiting for a writer,", "not a regular file");
    unlink(file);
    must(mkdir(file, 0700) == 0, "mkdir");
    refused("a folder", "not a regular file");
    must(rmdir(file) == 0, "rmdir");
}

static void check_missing(void)
{
    unlink(file);
    refused("a file that is not there", file);
    refused("a file that is not there, with the other place named,", SYSCONFDIR "/candhook.conf");
    refused("a file that is not there, with the sample named,", PKGDATADIR "/candhook.conf.sample");
    refused("a file that is not there, with the manual named,", "candhook.conf(5)");
    unsetenv("CANDHOOK_CONF");
    if (access(SYSCONFDIR "/candhook.conf", F_OK) == 0) {
        ok(1, "no CANDHOOK_CONF # SKIP there is a " SYSCONFDIR "/candhook.conf");
    } else {
        refused("no file at all", "CANDHOOK_CONF is not set, and " SYSCONFDIR "/candhook.conf is not there");
        setenv("CANDHOOK_CONF", "", 1);
        refused("an empty CANDHOOK_CONF is none: no file at all", "CANDHOOK_CONF is not set");
    }
    setenv("CANDHOOK_CONF", file, 1);
}

/* Each of these folders holds a c.conf in the end, and is then empty again. */
static void check_served_folder(const char *name, int refuse)
{
    char path[PATH_MAX + 128];

    snprintf(path, sizeof path, "%s/c.conf", in_folder(name));
    must(mkdir(in_folder(name), 0700) == 0, "mkdir");
    write_bytes(path, BASE, strlen(BASE));
    setenv("CANDHOOK_CONF", path, 1);
    if (refuse)
        refused(name, "document root, where a web server may hand it out");
    else
        accepted(name);
    unlink(file);
    must(symlink(path, file) == 0, "symlink");
    setenv("CANDHOOK_CONF", file, 1);
    if (refuse)
        refused("a link to it", "document root");
    unlink(file);
    unlink(path);
    must(rmdir(in_folder(name)) == 0, "rmdir");
}

static void check_link_below_root(void)
{
    char path[PATH_MAX + 128];

    write_text(BASE);
    must(mkdir(in_folder("htdocs"), 0700) == 0, "mkdir");
    snprintf(path, sizeof path, "%s/c.conf", in_folder("htdocs"));
    must(symlink(file, path) == 0, "symlink");
    setenv("CANDHOOK_CONF", path, 1);
    refused("a link from below a document root", "document root");
    unlink(path);
    snprintf(path, sizeof path, "%s/../c.conf", in_folder("htdocs"));
    setenv("CANDHOOK_CONF", path, 1);
    accepted("a path that only passes through a document root");
    must(rmdir(in_folder("htdocs")) == 0, "rmdir");
    setenv("CANDHOOK_CONF", file, 1);
}

static void check_document_root(void)
{
    char text[PATH_MAX + 128];

    write_text(BASE);
    setenv("DOCUMENT_ROOT", folder, 1);
    refused("a file below $DOCUMENT_ROOT", "document root");
    setenv("DOCUMENT_ROOT", in_folder("none/.."), 1);
    accepted("a file, when $DOCUMENT_ROOT is not there,");
    setenv("DOCUMENT_ROOT", in_folder("root/"), 1);
    accepted("a file beside $DOCUMENT_ROOT");
    snprintf(text, sizeof text, BASE "spool = %s\n", in_folder("root/a/spool"));
    write_text(text);
    refused("a spool below $DOCUMENT_ROOT, neither made yet,", "document root");
    snprintf(text, sizeof text, BASE "spool = %s\n", in_folder("root-beside/spool"));
    write_text(text);
    accepted("a spool beside $DOCUMENT_ROOT, whose name it begins with,");
    setenv("DOCUMENT_ROOT", "", 1);
    accepted("an empty $DOCUMENT_ROOT");
    unsetenv("DOCUMENT_ROOT");
}

static void check_lies_under(void)
{
    struct conf *conf = NULL;
    struct err err = {""};

    write_text(BASE);
    must(conf_load(&conf, &err) == RESULT_OK, err.text);
    must(symlink(folder, in_folder("link")) == 0, "symlink");
    ok(conf_lies_under(conf, folder), "it lies under its folder");
    ok(conf_lies_under(conf, in_folder("/")), "a slash at the end does not matter");
    ok(conf_lies_under(conf, in_folder("link")), "it lies under a link to its folder");
    ok(conf_lies_under(conf, "/"), "everything lies under /");
    ok(!conf_lies_under(conf, in_folder("none")), "it does not lie under what is not there");
    ok(!conf_lies_under(conf, file), "it does not lie under itself");
    ok(!conf_lies_under(conf, ""), "it does not lie under nothing");
    unlink(in_folder("link"));
    conf_free(conf);
}

static void check_relative(void)
{
    char before[PATH_MAX];
    struct conf *conf = NULL;
    struct err err = {""};

    write_text(BASE);
    must(getcwd(before, sizeof before) != NULL && chdir(folder) == 0, "chdir");
    setenv("CANDHOOK_CONF", "c.conf", 1);
    ok(conf_load(&conf, &err) == RESULT_OK && strcmp(conf->path, file) == 0,
       "a relative CANDHOOK_CONF becomes absolute");
    conf_free(conf);
    setenv("CANDHOOK_CONF", file, 1);
    must(chdir(before) == 0, "chdir");
}

/* What /proc names of a file that is gone can be opened, but has no path. */
static void check_no_path(void)
{
    char path[64];
    int fd;

    write_text(BASE);
    fd = open(file, O_RDONLY);
    must(fd >= 0, file);
    unlink(file);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    setenv("CANDHOOK_CONF", path, 1);
    refused("a file without a path", "cannot resolve the path /proc/self/fd/");
    setenv("CANDHOOK_CONF", file, 1);
    close(fd);
}

int main(void)
{
    conf_rig_begin();
    check_modes();
    check_owner();
    check_kinds();
    check_missing();
    check_served_folder("public_html", 1);
    check_served_folder("htdocs", 1);
    check_served_folder("httpdocs", 1);
    check_served_folder("public_html.old", 0);
    check_link_below_root();
    check_document_root();
    check_lies_under();
    check_relative();
    check_no_path();
    return conf_rig_end();
}
