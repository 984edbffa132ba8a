/*
 * SPDX-License-Identifier: ISC
 *
 * What a browser sends: queries, forms, cookies, seals. Nothing of it may be believed that is not as we made it.
 */
#include <config.h>

#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "web/seal.h"
#include "web/session.h"
#include "web/web_answer.h"
#include "web/web_request.h"

#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM "application/x-www-form-urlencoded"

static void check_parameter(const char *query, const char *wanted)
{
    char *uri = memory_format("/candhook-app/callback%s", query);
    const struct web_request request = {.method = "GET", .uri = uri, .cookies = "", .authorization = ""};
    char *value = web_request_parameter(&request, "code", 10), *name = memory_format("code of %s", query);

    is_text(value, wanted, name);
    free(value);
    free(name);
    free(uri);
}

static void check_parameters(void)
{
    check_parameter("", NULL);
    check_parameter("?", NULL);
    check_parameter("?code=abc", "abc");
    check_parameter("?x=y&code=abc&z=", "abc");
    check_parameter("?code=abc#code=d", "abc");
    check_parameter("#?code=abc", NULL);
    check_parameter("?code=a%20b+c%2f", "a b c/");
    check_parameter("?code=%41%6a", "Aj");
    check_parameter("?code=", NULL);
    check_parameter("?code", NULL);
    check_parameter("?xcode=abc", NULL);
    check_parameter("?code=abc&code=abc", NULL);
    check_parameter("?code=a%0d%0ab", NULL);
    check_parameter("?code=a%00b", NULL);
    check_parameter("?code=%", NULL);
    check_parameter("?code=%4", NULL);
    check_parameter("?code=%4g", NULL);
    check_parameter("?code=%4&x=1", NULL);
    check_parameter("?code=%4@&x=1", NULL);
    check_parameter("?code=\xc3\xa9", NULL);
    check_parameter("?code=%c3%a9", NULL);
    check_parameter("?code=1234567890", "1234567890");
    check_parameter("?code=12345678901", NULL);
    check_parameter("?code=%31%32%33%34%35%36%37%38%39%30", "1234567890");
}

static void check_path(const char *uri, bool wanted)
{
    const struct web_request request = {.method = "GET", .uri = uri, .cookies = "", .authorization = ""};

    ok(web_request_is_for(&request, "install") == wanted, "%s is %sfor install", uri, wanted ? "" : "not ");
}

static void check_below(const char *beside, const char *uri, const char *wanted)
{
    const struct web_request request = {.method = "GET", .uri = uri};
    char *path = web_request_below(&request, beside, "console");
    char *name = memory_format("below the console beside %s: %s", beside, uri);

    is_text(path, wanted, name);
    free(path);
    free(name);
}

static void check_query(const char *uri, const char *wanted)
{
    const struct web_request request = {.method = "GET", .uri = uri};
    char *json = web_request_query(&request), *name = memory_format("the query of %s", uri);

    is_text(json, wanted, name);
    free(json);
    free(name);
}

static void check_field(const char *type, const char *body, const char *wanted)
{
    struct web_request request = {.method = "POST", .uri = "/", .content_type = type};
    char *value, *name = memory_format("a field of %s: %s", type, body != NULL ? body : "nothing");

    request.body = body != NULL ? memory_copy_text(body) : NULL;
    value = web_request_field(&request, "name");
    is_text(value, wanted, name);
    free(value);
    free(request.body);
    free(name);
}

static void check_console_requests(void)
{
    static const char form[] = FORM;

    check_below("", "/candhook-app/console/", "");
    check_below("", "/candhook-app/console/api/events?x=/console/y", "api/events");
    check_below("", "/home/candhook-app/console/a/b#/console/", "a/b");
    check_below("", "/candhook-app/console", NULL);
    check_below("", "/candhook-app/xconsole/", NULL);
    check_below("", "/candhook-app/consolex/", NULL);
    check_below("", "/candhook-app/x/console/", NULL);
    check_below("", "/candhook-app/candhook-app/console/", NULL);
    check_below("", "/candhook-app/?/console/", NULL);
    check_below("", "/app/console/", NULL);
    check_below("", "", NULL);
    check_below("https://a.example/app/callback", "/app/console/x", "x");
    check_below("https://a.example/app/callback", "/app/x/console/x", NULL);
    check_below("https://a.example/app/callback", "/candhook-app/console/x", "x");
    check_below("https://a.example/app/callback", "/other/console/x", NULL);
    check_below("https://a.example/callback", "/console/x", "x");
    check_below("https://a.example/callback", "/x/console/x", NULL);
    check_below("https://a.example", "/console/x", NULL);
    check_query("/x", "{}");
    check_query("/x?", "{}");
    check_query("/x?&&", "{}");
    check_query("/x?a=b+c%2f&d&e=#f=g", "{\"a\":\"b c/\",\"d\":\"\",\"e\":\"\"}");
    check_query("/x?%61%22=%c3%a9", "{\"a\\\"\":\"\xc3\xa9\"}");
    check_query("/x?a=%", NULL);
    check_query("/x?a=%4", NULL);
    check_query("/x?a=%00", NULL);
    check_query("/x?a=%7f", NULL);
    check_query("/x?a=%ff", NULL);
    check_query("/x?a=%c3", NULL);
    check_query("/x?%0a=b", NULL);
    check_field(form, "name=anna", "anna");
    check_field("Application/X-WWW-Form-URLencoded; charset=utf-8", "x=y&name=%c3%a9+x", "\xc3\xa9 x");
    check_field(form, "xname=y&name=&z", NULL);
    check_field(form, "name", NULL);
    check_field(form, "name=%0a", NULL);
    check_field(form, "name=a\nb", NULL);
    check_field(form, "name=%ff", NULL);
    check_field(form, "", NULL);
    check_field(form, NULL, NULL);
    check_field("text/plain", "name=anna", NULL);
    check_field("", "name=anna", NULL);
}

static void check_cookie(const char *cookies, const char *wanted)
{
    const struct web_request request = {.method = "GET", .uri = "/", .cookies = cookies, .authorization = ""};
    char *value = web_request_cookie(&request, "c"), *name = memory_format("cookie c of '%s'", cookies);

    is_text(value, wanted, name);
    free(value);
    free(name);
}

static void check_seals(void)
{
    char *sealed = seal_close("key", "install", "state.verifier", 1000), *opened, *changed;

    opened = seal_open("key", "install", sealed, 999);
    is_text(opened, "state.verifier", "a seal is opened");
    free(opened);
    ok(seal_open("key", "install", sealed, 1000) == NULL, "not after its end");
    ok(seal_open("other", "install", sealed, 999) == NULL, "not with another key");
    ok(seal_open("key", "login", sealed, 999) == NULL, "not for another purpose");
    for (size_t i = 0; i < strlen(sealed); i++) {
        changed = memory_copy_text(sealed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        opened = seal_open("key", "install", changed, 999);
        if (opened != NULL)
            ok(0, "not with byte %zu changed", i);
        free(opened);
        free(changed);
    }
    ok(seal_open("key", "install", "", 0) == NULL, "nothing is no seal");
    ok(seal_open("key", "install", "...", 0) == NULL, "nor are dots");
    ok(seal_open("key", "install", "no", 0) == NULL, "nor is a word");
    free(sealed);
}

static void check_key(void)
{
    char folder[] = "/tmp/candhook-web.XXXXXX", *path, *first = NULL, *second = NULL;
    struct stat st;
    struct err err;

    if (!ok(mkdtemp(folder) != NULL, "a folder"))
        return;
    path = memory_format("%s/web.key", folder);
    ok(seal_read_key(path, &first, &err) == RESULT_OK, "a key is made");
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "which nobody else may read");
    ok(seal_read_key(path, &second, &err) == RESULT_OK, "and read again");
    is_text(second, first, "it is the same");
    free(second);
    second = NULL;
    chmod(path, 0640);
    ok(seal_read_key(path, &second, &err) == RESULT_FAIL && strstr(err.text, "chmod 600") != NULL,
       "not when others may read it");
    chmod(path, 0600);
    ok(truncate(path, 10) == 0 && seal_read_key(path, &second, &err) == RESULT_FAIL, "nor when it is short");
    unlink(path);
    rmdir(folder);
    ok(seal_read_key(path, &second, &err) == RESULT_FAIL && strstr(err.text, "cannot make the key") != NULL,
       "nor is one made without its folder");
    free(first);
    free(second);
    free(path);
}

static void check_answer(void)
{
    struct web_answer answer = {0};
    size_t length;
    char *text;

    web_answer_begin(&answer, 200, "<T>");
    web_answer_paragraph(&answer, "%s", "<b>\"it's\" & more");
    web_answer_end(&answer);
    text = web_answer_text(&answer, 0, &length);
    ok(strstr(text, "<b>") == NULL && strstr(text, "&#60;b&#62;&#34;it&#39;s&#34; &#38; more") != NULL,
       "what is put into a page is escaped");
    ok(strstr(text, "<title>&#60;T&#62;</title>") != NULL, "so is a title");
    ok(strlen(text) == length, "the length is right");
    free(text);
    text = web_answer_text(&answer, 1, &length);
    ok(strstr(text, "<title>") == NULL && strstr(text, "\r\n\r\n") == text + length - 4, "HEAD has no body");
    free(text);
    answer.status = 409;
    text = web_answer_text(&answer, 1, &length);
    ok(strncmp(text, "Status: 409 \r\n", 14) == 0, "a status of which we know no more is told");
    free(text);
    web_answer_free(&answer);
}

/* ---- a log-in whose count cannot be kept ---- */

static bool disk_is_full;

int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);

int __wrap_ftruncate(int fd, off_t length)
{
    errno = ENOSPC;
    return disk_is_full ? -1 : __real_ftruncate(fd, length);
}

static void check_full_disk(void)
{
    static const struct web_user_new anna = {.name = "anna", .password = "correct-horse"};
    char folder[] = "/tmp/candhook-web.XXXXXX", body[] = "name=anna&password=correct-horse", *said = NULL;
    const struct web_request request = {.scheme = "http", .origin = "", .content_type = FORM, .body = body};
    struct conf conf = {0};
    struct session session;
    unsigned failures;
    struct err err;
    size_t length;
    FILE *file;
    char *tries, *log;

    if (!ok(mkdtemp(folder) != NULL, "a folder"))
        return;
    conf.web_key = memory_format("%s/web.key", folder);
    conf.web_users = memory_format("%s/web.users", folder);
    tries = memory_format("%s.tries", conf.web_key);
    log = memory_format("%s/log", folder);
    file = fopen(tries, "w");
    if (file != NULL) {
        fputs("3\n", file);
        fclose(file);
    }
    ok(web_users_add(conf.web_users, geteuid(), &anna, &err) == RESULT_OK &&
           log_open(log, LOG_LEVEL_INFO, "web", &err) == RESULT_OK,
       "a user, and a log");
    disk_is_full = true;
    ok(session_log_in(&conf, "key", &request, &session, &failures, &err) == SESSION_OPENED && failures == 3,
       "a full disk keeps nobody out");
    disk_is_full = false;
    ok(io_read_file(log, 4096, &said, &length, &err) == RESULT_OK &&
           strstr(said, "console=tries reason=\"No space left on device\" effect=\"failed log-ins are not counted\"") !=
               NULL,
       "and the log says what it means");
    session_free(&session);
    unlink(tries);
    unlink(log);
    unlink(conf.web_users);
    ok(rmdir(folder) == 0, "nothing is left");
    free(said);
    free(tries);
    free(log);
    free(conf.web_key);
    free(conf.web_users);
}

int main(void)
{
    check_parameters();
    check_path("/candhook-app/install", true);
    check_path("/candhook-app/install?x=/y", true);
    check_path("/install", true);
    check_path("install", false);
    check_path("/candhook-app/xinstall", false);
    check_path("/candhook-app/install/", false);
    check_path("/x?/install", false);
    check_path("", false);
    check_cookie("", NULL);
    check_cookie("c=1", "1");
    check_cookie("a=1; c=2; c=3", "2");
    check_cookie("a=c=1", NULL);
    check_cookie("cc=1;c=2", "2");
    check_cookie("c", NULL);
    check_cookie("; ;;c=", "");
    check_console_requests();
    check_seals();
    check_key();
    check_answer();
    check_full_disk();
    return done();
}
