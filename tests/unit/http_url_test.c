/*
 * SPDX-License-Identifier: ISC
 *
 * URLs: which are some, what of them is shown, joining, queries.
 */
#include <config.h>

#include "http/url.h"

#include <stdlib.h>

#include "tap.h"

static void check_join(const char *base, const char *path, const char *wanted)
{
    char *got = url_join(base, path);

    is_text(got, wanted, wanted);
    free(got);
}

static void check_query(const char *url, const char *wanted)
{
    static const struct url_parameter parameters[] = {
        {"a", "x y&z=+/:"}, {"none", NULL}, {"b", ""}, {"c", "\303\244*~"}};
    struct err err;
    char *got = NULL;

    ok(url_add_query(url, parameters, 4, &got, &err) == RESULT_OK, "a query at %s", url);
    is_text(got, wanted, "is as it must be");
    free(got);
}

static void check_servers(void)
{
    static const char *const senseless[] = {"ftp://127.0.0.1/", "127.0.0.1/x", "http://", "",
                                            "http://a b/",      "file:///x"};
    struct err err;
    char *got;

    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
        ok(url_server(senseless[i], &got, &err) == RESULT_FAIL, "no URL: %s", senseless[i]);
        ok(url_add_query(senseless[i], NULL, 0, &got, &err) == RESULT_FAIL, "and none with a query");
    }
    if (ok(url_server("https://u:p@Example.org:8443/x?y", &got, &err) == RESULT_OK, "a URL with all parts")) {
        is_text(got, "https://Example.org:8443", "of which scheme, host and port are shown");
        free(got);
    }
}

static void check_local(void)
{
    ok(url_is_local("http://localhost/") && url_is_local("https://127.3.2.1:80/x") && url_is_local("http://[::1]:3/"),
       "loopback is local");
    ok(!url_is_local("http://127.example.org/") && !url_is_local("http://10.0.0.1/") && !url_is_local("x"),
       "others are not");
}

int main(void)
{
    check_servers();
    check_local();
    check_join("https://x.org/a", "/b", "https://x.org/a/b");
    check_join("https://x.org//", "b", "https://x.org/b");
    check_join("https://x.org", "//b", "https://x.org//b");
    check_query("https://x.org/a", "https://x.org/a?a=x%20y%26z%3d%2b%2f%3a&b=&c=%c3%a4%2a~");
    check_query("https://x.org/?q=1", "https://x.org/?q=1&a=x%20y%26z%3d%2b%2f%3a&b=&c=%c3%a4%2a~");
    return done();
}
