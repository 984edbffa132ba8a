/*
 * SPDX-License-Identifier: ISC
 *
 * The configuration: values come through whole, and every fault is named with file and line, and shows no secret.
 */
#include <config.h>

#include "conf/conf.h"

#include <limits.h>
#include <stdlib.h>

#include "conf_rig.h"
#include "tap.h"

/* ---- what is right ---- */

static void check_defaults(void)
{
    struct conf *conf = NULL;
    struct err err = {""};

    write_text("[candhook]\ndatabase = dbname=x\n");
    if (!ok(conf_load(&conf, &err) == RESULT_OK, "a file with the database alone is enough")) {
        printf("# %s\n", err.text);
        return;
    }
    is_text(conf->path, file, "the path is the file's");
    is_text(conf->database, "dbname=x", "database");
    is_text(conf->spool, LOCALSTATEDIR "/lib/candhook/spool", "default of spool");
    is_text(conf->url_secrets, SYSCONFDIR "/candhook.secrets", "default of url_secrets");
    is_text(conf->handler_dir, HANDLERDIR, "default of handler_dir");
    is_text(conf->log, "stderr", "default of log");
    is_text(conf->worker_program, BINDIR "/candhook", "default of worker_program");
    is_text(conf->web_users, LOCALSTATEDIR "/lib/candhook/web.users", "default of web_users");
    is_text(conf_read_database(conf), "dbname=x", "the console reads the database");
    ok(conf->max_body == 1024 * 1024, "default of max_body");
    ok(conf->min_free == 64 * 1024 * 1024, "default of min_free");
    ok(conf->keep_sealed == 0, "default of keep_sealed");
    ok(conf->runners == 2, "default of runners");
    ok(conf->log_level == LOG_LEVEL_INFO, "default of log_level");
    conf_free(conf);
}

static void check_databases(void)
{
    struct conf *conf = NULL;
    struct err err = {""};

    write_text(BASE "web_database = dbname=y\n");
    must(conf_load(&conf, &err) == RESULT_OK, err.text);
    is_text(conf_read_database(conf), "dbname=y", "or that of candhook-web.fcgi");
    conf_free(conf);
    write_text(BASE "web_database = dbname=y\nread_database = dbname=z\n");
    must(conf_load(&conf, &err) == RESULT_OK, err.text);
    is_text(conf_read_database(conf), "dbname=z", "or one of its own");
    is_text(conf_web_database(conf), "dbname=y", "which is no other program's");
    conf_free(conf);
}

static const char full[] = "\xef\xbb\xbf# comment\r\n"
                           "; another\n"
                           "\n"
                           "[candhook]  \n"
                           "database=host=/tmp password='a;b#c=d \"e\" \\' # no comment ; at all\t \r\n"
                           "  spool = /srv/a folder;with#all=of it\n"
                           "\turl_secrets\t=\t/srv/secrets\n"
                           "max_body = 64K\n"
                           "min_free = 1024G\n"
                           "[candhook]\n"
                           "keep_sealed = 2D\n"
                           "runners = 64\n"
                           "handler_dir = /srv/h\303\244ndler\n"
                           "log = /srv/log file\n"
                           "log_level = debug\n"
                           "worker_program = /opt/candhook";

static void check_all_keys(void)
{
    struct conf *conf = NULL;
    struct err err = {""};

    write_text(full);
    if (!ok(conf_load(&conf, &err) == RESULT_OK, "all keys, with comments, CRLF, a BOM and no last line feed")) {
        printf("# %s\n", err.text);
        return;
    }
    is_text(conf->database, "host=/tmp password='a;b#c=d \"e\" \\' # no comment ; at all",
            "a value goes to its line's end");
    is_text(conf->spool, "/srv/a folder;with#all=of it", "a path with blanks, ;, # and =");
    is_text(conf->url_secrets, "/srv/secrets", "tabs around the equal sign");
    ok(conf->max_body == 65536, "a size in k, written K");
    ok(conf->min_free == (uint64_t)1 << 40, "a size in G");
    ok(conf->keep_sealed == 172800, "a time in days");
    ok(conf->runners == 64, "a count");
    is_text(conf->handler_dir, "/srv/h\303\244ndler", "UTF-8");
    is_text(conf->log, "/srv/log file", "log to a file");
    ok(conf->log_level == LOG_LEVEL_DEBUG, "log_level");
    is_text(conf->worker_program, "/opt/candhook", "the last line needs no line feed");
    conf_free(conf);
}

static void check_long_values(void)
{
    static const size_t lengths[] = {1000, 5000, 100000};
    static const char pattern[] = "a ;#='\"\\";

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t length = lengths[i];
        char *value = calloc(1, length + 1), *text;
        struct conf *conf = NULL;
        struct err err = {""};

        for (size_t j = 0; j < length; j++)
            value[j] = j == 0 || j + 1 == length ? 'x' : pattern[j % (sizeof pattern - 1)];
        must(asprintf(&text, "[candhook]\ndatabase = %s\nrunners = 7\n", value) > 0, "asprintf");
        write_text(text);
        ok(conf_load(&conf, &err) == RESULT_OK && strcmp(conf->database, value) == 0 && conf->runners == 7,
           "a value of %zu characters comes through whole", length);
        conf_free(conf);
        free(text);
        free(value);
    }
}

static char *printed(const struct conf *conf)
{
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);

    conf_print(conf, stream);
    fclose(stream);
    return text;
}

/* What is printed can be read again, the database aside. */
static void check_print(void)
{
    struct conf *conf = NULL, *again = NULL;
    char *first = NULL, *second = NULL, *text;
    struct err err = {""};

    write_text(full);
    must(conf_load(&conf, &err) == RESULT_OK, err.text);
    first = printed(conf);
    ok(strstr(first, "password") == NULL, "the database's value is not printed");
    ok(strncmp(first, "database = (set)\nspool = /srv/a folder;with#all=of it\n", 53) == 0, "key = value, in order");
    ok(strstr(first, "\nmax_body = 64k\nmin_free = 1024G\nkeep_sealed = 2d\n") != NULL, "amounts have units");
    must(asprintf(&text, "[candhook]\n%s", first) > 0, "asprintf");
    write_text(text);
    must(conf_load(&again, &err) == RESULT_OK, err.text);
    second = printed(again);
    is_text(second, first, "what is printed reads the same again");
    conf_free(conf);
    conf_free(again);
    free(first);
    free(second);
    free(text);
}

/* ---- what is wrong ---- */

struct fault {
    const char *name, *text;
    unsigned line; /* 0: the message names the file alone */
    const char *said, *said_too;
};

static const struct fault faults[] = {
    {"an empty file", "", 0, "database is missing", "database = ..."},
    {"no database", HEAD "runners = 1\n", 0, "database is missing", "libpq"},
    {"an empty database", HEAD "database =\n", 2, "database is empty", "libpq"},
    {"an unknown key", BASE "\nwibble = hunter2\n", 4, "unknown key wibble;",
     "database, spool, url_secrets, base_url, max_body"},
    {"a key nearly right", BASE "maxbody = 1\n", 3, "unknown key maxbody (did you mean max_body?)", "worker_program"},
    {"a key in capitals", BASE "Runners = 1\n", 3, "unknown key Runners (did you mean runners?)", ""},
    {"a right key and the same in capitals", BASE "runners = 1\n\nRUNNERS = 2\n", 5, "unknown key RUNNERS", ""},
    {"a key twice", BASE "runners = 1\n# x\nrunners = 1\n", 5, "runners stands on line 3 already", ""},
    {"a key twice, in two blocks", BASE HEAD "database = hunter2\n", 4, "database stands on line 2 already", ""},
    {"a key before the section", "runners = 1\n" BASE, 1, "a key before the section", "[candhook]"},
    {"a key, and no section", "# x\ndatabase = hunter2\n", 2, "a key before the section", "[candhook]"},
    {"another section", BASE "[other]\nx=1\n", 3, "the only section is [candhook]", ""},
    {"a section in capitals", "[CandHook]\n", 1, "the only section is [candhook]", ""},
    {"a section that is not closed", "[candhook\n", 1, "the only section is [candhook]", ""},
    {"text behind the section", "[candhook] # x\n", 1, "the only section is [candhook]", ""},
    {"a line without an equal sign", BASE "hunter2\n", 3, "neither `key = value` nor a comment", ""},
    {"a line without a key", BASE "= hunter2\n", 3, "neither `key = value` nor a comment", ""},
    {"a connection string alone", BASE "postgres://u:hunter2@h/d?a=b\n", 3, "neither `key = value`", ""},
    {"a key with a !", BASE "a!b = hunter2\n", 3, "neither `key = value`", ""},
    {"a comment further in", BASE "  # hunter2\n", 3, "comment, which has # in the first column", ""},
    {"a C comment", BASE "/* hunter2\n*/\n", 3, "neither `key = value`", ""},
    {"a line that is continued", HEAD "database = a\n  b hunter2\n", 3, "neither `key = value`", ""},
    {"bytes that are not UTF-8", BASE "\nlog = /\xff\n", 4, "not UTF-8", ""},
    {"a body that is too small", BASE "max_body = 1023\n", 3, "max_body = \"1023\"", "a size from 1k to 16M"},
    {"a body that is too large", BASE "max_body = 17M\n", 3, "max_body = \"17M\"", "a size from 1k to 16M"},
    {"a size that is no number", BASE "max_body = big\n", 3, "max_body = \"big\"", "k, M or G"},
    {"a size with a sign", BASE "min_free = -1\n", 3, "min_free = \"-1\"", "from 0 to 1024G"},
    {"a size with a plus", BASE "min_free = +1\n", 3, "min_free = \"+1\"", ""},
    {"a size with two units", BASE "min_free = 1kB\n", 3, "min_free = \"1kB\"", ""},
    {"a size with a unit of time", BASE "min_free = 1d\n", 3, "min_free = \"1d\"", ""},
    {"a size beyond 64 bits", BASE "min_free = 99999999999999999999\n", 3, "not allowed", ""},
    {"a size beyond 64 bits by its unit", BASE "min_free = 17179869184G\n", 3, "not allowed", ""},
    {"an empty size", BASE "min_free =\n", 3, "min_free is empty", "a size"},
    {"a comment behind a number", BASE "runners = 3 # three\n", 3, "runners = \"3 # three\"", "a number from 0 to 64"},
    {"too many runners", BASE "runners = 65\n", 3, "runners = \"65\"", "a number from 0 to 64"},
    {"a count with a unit", BASE "runners = 1k\n", 3, "runners = \"1k\"", ""},
    {"a time too long", BASE "keep_sealed = 366d\n", 3, "keep_sealed = \"366d\"", "a time from 0 to 365d"},
    {"a relative path", BASE "spool = spool\n", 3, "spool = \"spool\"", "an absolute path, without quotes"},
    {"a path in quotes", BASE "url_secrets = \"/x\"\n", 3, "url_secrets = \"\\\"/x\\\"\"", "without quotes"},
    {"a control byte in a path", BASE "handler_dir = /a\001b\n", 3, "\"/a\\x01b\"", ""},
    {"a log to nowhere", BASE "log = none\n", 3, "log = \"none\"", "stderr, syslog or the absolute path of a file"},
    {"a level in capitals", BASE "log_level = INFO\n", 3, "log_level = \"INFO\"", "error, warning, info or debug"},
    {"an empty level", BASE "log_level =\n", 3, "log_level is empty", "error, warning, info or debug"},
    {"a worker program by name", BASE "worker_program = candhook\n", 3, "worker_program = \"candhook\"", "absolute"},
    {"the spool below public_html", BASE "spool = /srv/none/public_html/spool\n", 3,
     "spool = /srv/none/public_html/spool", "document root"},
    {"the secrets below htdocs", BASE "url_secrets = /srv/none/htdocs/s\n", 3, "url_secrets", "document root"},
    {"the log below httpdocs", BASE "\nlog = /srv/none/httpdocs/l\n", 4, "log = ", "document root"},
    {"the spool below /var/www/html", BASE "spool = /var/www/html/none/spool\n", 3, "spool", "document root"},
};

static void check_fault(const struct fault *fault)
{
    struct conf *conf = NULL;
    struct err err = {""};
    char where[sizeof file + 32];
    int right;

    if (fault->line > 0)
        snprintf(where, sizeof where, "%s:%u: ", file, fault->line);
    else
        snprintf(where, sizeof where, "%s: ", file);
    right = conf_load(&conf, &err) == RESULT_FAIL && strncmp(err.text, where, strlen(where)) == 0 &&
            strstr(err.text, fault->said) != NULL && strstr(err.text, fault->said_too) != NULL &&
            strstr(err.text, "hunter2") == NULL && strchr(err.text, '\n') == NULL;
    if (!ok(right, "%s", fault->name))
        printf("# got: %s\n# wanted: %s... %s ... %s\n", err.text, where, fault->said, fault->said_too);
    conf_free(conf);
}

static void check_odd_faults(void)
{
    static const char nul[] = BASE "\nlog = /a\0b\n";
    struct fault fault = {"a NUL byte", NULL, 4, "a NUL byte", ""};
    char *text;

    write_bytes(file, nul, sizeof nul - 1);
    check_fault(&fault);
    must(asprintf(&text, BASE "max_body = %0300d\n", 0) > 0, "asprintf");
    write_text(text);
    fault = (struct fault){"a long value is cut in the message", NULL, 3, "00000\"... is not allowed", ""};
    check_fault(&fault);
    free(text);
    must(asprintf(&text, BASE "%0300d = 1\n", 0) > 0, "asprintf");
    write_text(text);
    fault = (struct fault){"a key of 300 characters", NULL, 3, "neither `key = value`", ""};
    check_fault(&fault);
    free(text);
    must(asprintf(&text, BASE "#%0*d\n", 1024 * 1024, 0) > 0, "asprintf");
    write_text(text);
    free(text);
    ok(conf_load(&(struct conf *){NULL}, &(struct err){""}) == RESULT_FAIL, "a file beyond 1 MiB is refused");
}

int main(void)
{
    conf_rig_begin();
    check_defaults();
    check_databases();
    check_all_keys();
    check_long_values();
    check_print();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        write_text(faults[i].text);
        check_fault(&faults[i]);
    }
    check_odd_faults();
    conf_free(NULL);
    return conf_rig_end();
}
