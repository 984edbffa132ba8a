/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes what a browser sends: the address is the first line, its cookies are the second, a form is the rest. Nothing
 * but printable ASCII comes out of a parameter, and nothing but UTF-8 without controls out of the whole query and the
 * form; no seal opens that was not closed here.
 */
#include <config.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "web/seal.h"
#include "web/web_request.h"

#include "fuzz.h"

#define MAX 20

static void check_query_value(const struct web_request *request, const char *name)
{
    char *value = web_request_parameter(request, name, MAX);

    if (value == NULL)
        return;
    must(*value != '\0' && strlen(value) <= MAX);
    for (const char *at = value; *at != '\0'; at++)
        must(*at >= ' ' && *at <= '~');
    must(strstr(request->uri, name) != NULL);
    free(value);
}

/* Checks, and frees. */
static void must_be_text(char *text)
{
    if (text == NULL)
        return;
    must(utf8_span(text, strlen(text)) == strlen(text));
    for (const char *at = text; *at != '\0'; at++)
        must((unsigned char)*at >= ' ');
    free(text);
}

static void check_console(const struct web_request *request)
{
    char *path = web_request_below(request, "https://a/b/callback", "console"), *query = web_request_query(request);

    must(path == NULL || (strpbrk(path, "?#") == NULL && strstr(request->uri, path) != NULL));
    must(query == NULL || (query[0] == '{' && query[strlen(query) - 1] == '}'));
    free(path);
    must_be_text(query);
    must_be_text(web_request_field(request, "name"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *uri = memory_copy_bytes(data, size), *line = strchr(uri, '\n'), *cookie, *opened;
    struct web_request request = {.method = "GET", .uri = uri, .cookies = "", .authorization = ""};

    if (line != NULL) {
        *line = '\0';
        request.cookies = line + 1;
        line = strchr(line + 1, '\n');
    }
    if (line != NULL) {
        *line = '\0';
        request.body = line + 1;
        request.content_type = "application/x-www-form-urlencoded";
    }
    check_console(&request);
    check_query_value(&request, "code");
    check_query_value(&request, "s");
    if (web_request_is_for(&request, "callback"))
        must(strstr(uri, "/callback") != NULL);
    cookie = web_request_cookie(&request, "c");
    if (cookie != NULL) {
        must(strchr(cookie, ';') == NULL && strstr(request.cookies, cookie) != NULL);
        opened = seal_open("key", "install", cookie, 0);
        must(opened == NULL || strcmp(opened, "state.verifier") == 0);
        free(opened);
    }
    free(cookie);
    free(uri);
    return 0;
}

static const char *const fuzz_seeds[] = {
    "/candhook-app/callback?code=a%20b%2Fc&state=x+y&s=1#x\na=1; c=2;c=3",
    "/callback?code=%41%\nc=state.verifier.4102444800.0000000000000000000000000000000000000000000",
    "/?s=%0d%0a&s=\n; ;c",
    "/candhook-app/console/api/events?type=product.*&%c3%a9=%22\n\nname=anna&password=x%20+",
    "/console/?a=%ff\n\nx=y&name=%0a",
    "",
};

FUZZ_MAIN
