/*
 * SPDX-License-Identifier: ISC
 *
 * HTTP by libcurl: URLs, what becomes of one request, and http_send, which runs one on a handle that is kept. The pool
 * that runs many is http_pool.c.
 *
 * An answer is read to its end, so that the connection can be used again, but not for ever: one of more than
 * ANSWER_MAX bytes is broken off.
 */
#include <config.h>

#include "http/http.h"

#include "http/http_inside.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ANSWER_MAX (8 * 1024 * 1024)
#define HEADERS_MAX (256 * 1024)

void *http_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

void http_answer_free(struct http_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

/* ---- URLs ---- */

static int is_local_host(const char *host)
{
    struct in_addr address;

    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

/* A part of the URL, empty when it has none; to be freed by curl_free. */
static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static enum result parse_url(const char *text, CURLU **out, char **place, struct err *err)
{
    CURLU *url = http_must(curl_url());
    int parsed = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    char *scheme = part_of(url, CURLUPART_SCHEME), *host = part_of(url, CURLUPART_HOST);
    char *port = part_of(url, CURLUPART_PORT);
    int good = parsed && scheme != NULL && host != NULL && *host != '\0' &&
               (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);

    if (good && asprintf(place, "%s://%s%s%s", scheme, host, port != NULL ? ":" : "", port != NULL ? port : "") < 0)
        abort();
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    if (good) {
        *out = url;
        return RESULT_OK;
    }
    curl_url_cleanup(url);
    err_set(err, "the URL must be http://HOST/PATH or https://HOST/PATH");
    return RESULT_FAIL;
}

enum result http_place(const char *url, char **place, struct err *err)
{
    CURLU *parsed;
    enum result result = parse_url(url, &parsed, place, err);

    if (result == RESULT_OK)
        curl_url_cleanup(parsed);
    return result;
}

int http_is_local(const char *url)
{
    CURLU *parsed = http_must(curl_url());
    char *host = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK ? part_of(parsed, CURLUPART_HOST) : NULL;
    int local = host != NULL && is_local_host(host);

    curl_free(host);
    curl_url_cleanup(parsed);
    return local;
}

char *http_escape(const char *text)
{
    char *escaped = http_must(curl_easy_escape(NULL, text, 0)), *copy = http_must(strdup(escaped));

    curl_free(escaped);
    return copy;
}

/* ---- the answer comes ---- */

/* What comes from outside is not let loose on a terminal or a log. */
static char printable(char byte)
{
    return (unsigned char)byte >= 0x80 || (byte >= ' ' && byte < 0x7f) ? byte : '?';
}

/* A status line: what stands behind the status is the reason. */
static void take_status_line(struct http_answer *answer, const char *line, size_t length)
{
    size_t blanks = 0, kept = 0;

    answer->retry_after = -1;
    for (size_t i = 0; i < length && line[i] != '\r' && line[i] != '\n' && kept < sizeof answer->reason - 1; i++) {
        if (blanks == 2)
            answer->reason[kept++] = printable(line[i]);
        else
            blanks += line[i] == ' ';
    }
    answer->reason[kept] = '\0';
}

/* Seconds, or a date; -1 for anything else. */
static long read_retry_after(const char *value)
{
    time_t date;
    char *end;
    long seconds;

    if (isdigit((unsigned char)*value)) {
        seconds = strtol(value, &end, 10); /* LONG_MAX for more than that */
        if (*end == '\0')
            return seconds;
    }
    date = curl_getdate(value, NULL);
    if (date == (time_t)-1)
        return -1;
    seconds = (long)(date - time(NULL));
    return seconds > 0 ? seconds : 0;
}

static void take_retry_after(struct http_answer *answer, const char *line, size_t length)
{
    static const char name[] = "Retry-After:";
    size_t start = sizeof name - 1;
    char value[64];

    if (length <= start || strncasecmp(line, name, start) != 0)
        return;
    while (start < length && (line[start] == ' ' || line[start] == '\t'))
        start++;
    while (length > start && isspace((unsigned char)line[length - 1]))
        length--;
    if (length - start >= sizeof value)
        return;
    memcpy(value, line + start, length - start);
    value[length - start] = '\0';
    answer->retry_after = read_retry_after(value);
}

static size_t on_header(char *line, size_t one, size_t length, void *context)
{
    struct exchange *exchange = context;

    (void)one;
    exchange->header_bytes += length;
    if (exchange->header_bytes > HEADERS_MAX) {
        exchange->broken_off = "the headers of its answer have more than 256 KiB";
        return 0;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        take_status_line(&exchange->answer, line, length);
    else
        take_retry_after(&exchange->answer, line, length);
    return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
    struct exchange *exchange = context;
    struct http_answer *answer = &exchange->answer;
    size_t room = exchange->keep - answer->body_length, taken = length < room ? length : room;

    (void)one;
    exchange->passed += length;
    if (exchange->passed > ANSWER_MAX) {
        exchange->broken_off = "its answer has more than 8 MiB";
        return 0;
    }
    answer->body = http_must(realloc(answer->body, answer->body_length + taken + 1));
    memcpy(answer->body + answer->body_length, bytes, taken);
    answer->body_length += taken;
    answer->cut |= taken < length;
    return length;
}

/* ---- the request goes ---- */

static enum result check_request(const struct http_request *request, struct err *err)
{
    size_t letters = strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (letters == 0 || request->method[letters] != '\0') {
        err_set(err, "the method must be a word in capital letters");
        return RESULT_FAIL;
    }
    for (size_t i = 0; i < HTTP_HEADERS && request->headers[i] != NULL; i++) {
        for (const char *at = request->headers[i]; *at != '\0'; at++) {
            if (!iscntrl((unsigned char)*at))
                continue;
            err_set(err, "a header holds a control character");
            return RESULT_FAIL;
        }
    }
    return RESULT_OK;
}

static void add_header(struct exchange *exchange, const char *line)
{
    exchange->headers = http_must(curl_slist_append(exchange->headers, line));
}

static void set_body(struct exchange *exchange, const struct http_request *request)
{
    CURL *curl = exchange->curl;
    int posts = strncmp(request->method, "P", 1) == 0; /* POST, PUT, PATCH: without a body, one of length 0 */

    if (request->body != NULL || posts) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(request->body != NULL ? request->body_length : 0));
    }
    if (request->body == NULL)
        add_header(exchange, "Content-Type:");
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    add_header(exchange, "Expect:"); /* or a large body waits for a leave that many servers do not give */
}

static void set_rules(struct exchange *exchange)
{
    CURL *curl = exchange->curl;
    char *host = part_of(exchange->url, CURLUPART_HOST);

    if (host != NULL && is_local_host(host))
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_free(host);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, HTTP_KEPT_CONNECTIONS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "candhook/" PACKAGE_VERSION);
}

enum result http_prepare(struct exchange *exchange, const struct http_request *request, struct err *err)
{
    CURL *curl = exchange->curl;
    enum result result = check_request(request, err);

    if (result == RESULT_OK)
        result = parse_url(request->url, &exchange->url, &exchange->place, err);
    if (result != RESULT_OK)
        return result;
    exchange->keep = request->answer_bytes;
    exchange->answer.retry_after = -1;
    for (size_t i = 0; i < HTTP_HEADERS && request->headers[i] != NULL; i++)
        add_header(exchange, request->headers[i]);
    set_body(exchange, request);
    set_rules(exchange);
    curl_easy_setopt(curl, CURLOPT_CURLU, exchange->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    return RESULT_OK;
}

void http_release(struct exchange *exchange)
{
    curl_slist_free_all(exchange->headers);
    curl_url_cleanup(exchange->url);
    free(exchange->place);
    http_answer_free(&exchange->answer);
}

/* ---- the end ---- */

/* Whether libcurl's words quote what may be a secret. */
static int tells_secret(const struct exchange *exchange)
{
    static const CURLUPart parts[] = {CURLUPART_PATH, CURLUPART_QUERY, CURLUPART_USER, CURLUPART_PASSWORD};
    int tells = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *text = part_of(exchange->url, parts[i]);

        tells |= text != NULL && *text != '\0' && strcmp(text, "/") != 0 && strstr(exchange->error, text) != NULL;
        curl_free(text);
    }
    return tells;
}

static void describe(struct exchange *exchange, CURLcode code, struct err *err)
{
    const char *reason = exchange->broken_off;

    if (reason == NULL)
        reason = exchange->error[0] != '\0' && !tells_secret(exchange) ? exchange->error : curl_easy_strerror(code);
    err_set(err, "no answer from %s: %s", exchange->place, reason);
    for (char *at = err->text; *at != '\0'; at++)
        *at = printable(*at);
}

enum result http_finish(struct exchange *exchange, CURLcode code, struct err *err)
{
    struct http_answer *answer = &exchange->answer;
    long status = 0;

    if (code != CURLE_OK) {
        describe(exchange, code, err);
        return RESULT_RETRY;
    }
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(exchange->curl, CURLINFO_TOTAL_TIME, &answer->seconds);
    if (status < 100 || status > 599) {
        err_set(err, "no answer from %s: the status %ld means nothing", exchange->place, status);
        return RESULT_RETRY;
    }
    answer->status = (int)status;
    answer->body = http_must(realloc(answer->body, answer->body_length + 1));
    answer->body[answer->body_length] = '\0';
    return RESULT_OK;
}

void http_hand_over(struct exchange *exchange, enum result result, struct http_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (result != RESULT_OK)
        return;
    *answer = exchange->answer;
    exchange->answer.body = NULL;
}

/* ---- one at a time ---- */

struct http {
    CURL *curl;
};

struct http *http_new(void)
{
    struct http *http = http_must(calloc(1, sizeof *http));

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    http->curl = http_must(curl_easy_init());
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    curl_global_cleanup();
    free(http);
}

enum result http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
                      struct err *err)
{
    struct exchange exchange = {.curl = http->curl};
    enum result result = http_prepare(&exchange, request, err);

    if (result == RESULT_OK)
        result = http_finish(&exchange, curl_easy_perform(http->curl), err);
    http_hand_over(&exchange, result, answer);
    curl_easy_reset(http->curl); /* it knows the exchange; its connections stay */
    http_release(&exchange);
    return result;
}
