/*
 * SPDX-License-Identifier: ISC
 *
 * One request and its answer: the options of libcurl's handle, the callbacks that receive the answer, and the result.
 *
 * An answer is read to its end, even where its body is not kept, so that the connection can be used again. But one of
 * more than ANSWER_MAX bytes is aborted. Where only the status counts, it is the answer whatever came behind it: a
 * request that was answered 2xx is done, and must not be sent again.
 */
#include <config.h>

#include "base/memory.h"
#include "base/printable.h"
#include "http/http_inside.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ANSWER_MAX (8 * 1024 * 1024)
#define HEADERS_MAX (256 * 1024)
#define RETRY_AFTER_MAX 86400L /* more cannot be meant, and the year 9999 is beyond what others reckon with */

void *http_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

void http_answer_free(struct http_answer *answer)
{
    free(answer->reason);
    free(answer->body);
    answer->reason = answer->body = NULL;
}

/* ---- receiving the answer ---- */

/*
 * Reads "HTTP/1.1 STATUS REASON", which begins an answer: an interim one (1xx) may have come before. The reason is kept
 * whole: whoever shows it masks secrets in it first, and of one that is cut a beginning would be left.
 */
static void read_status_line(struct http_answer *answer, const char *line, size_t length)
{
    size_t blanks = 0, kept = 0;

    answer->retry_after = -1;
    answer->reason = memory_resize(answer->reason, 1, length + 1);
    for (size_t i = 0; i < length && line[i] != '\r' && line[i] != '\n'; i++) {
        if (blanks == 2)
            answer->reason[kept++] = printable_in_line(line[i]);
        else
            blanks += line[i] == ' ';
    }
    answer->reason[kept] = '\0';
}

/* Returns the seconds that VALUE means, a number or a date, as http.h bounds them, or -1 when it is neither. */
static long parse_retry_after(const char *value)
{
    char *end;
    long seconds = strtol(value, &end, 10); /* LONG_MIN or LONG_MAX when it is beyond */

    if (end == value || *end != '\0') {
        time_t date = curl_getdate(value, NULL);

        if (date == (time_t)-1)
            return -1;
        seconds = (long)(date - time(NULL));
    }
    return seconds < 0 ? 0 : seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds;
}

/* Reads a header line, if it is Retry-After. */
static void read_retry_after(struct http_answer *answer, const char *line, size_t length)
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
    answer->retry_after = parse_retry_after(value);
}

static size_t on_header(char *line, size_t one, size_t length, void *context)
{
    struct exchange *exchange = context;

    (void)one;
    exchange->header_bytes += length;
    if (exchange->header_bytes > HEADERS_MAX) {
        exchange->abort_reason = "the headers of its answer have more than 256 KiB";
        return 0;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        read_status_line(&exchange->answer, line, length);
    else
        read_retry_after(&exchange->answer, line, length);
    return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
    struct exchange *exchange = context;
    struct http_answer *answer = &exchange->answer;
    size_t room = exchange->body_limit - answer->body_length, kept = length < room ? length : room;

    (void)one;
    exchange->body_bytes += length;
    if (exchange->body_bytes > ANSWER_MAX) {
        exchange->abort_reason = "its answer has more than 8 MiB";
        return 0;
    }
    answer->body = memory_resize(answer->body, 1, answer->body_length + kept + 1);
    memcpy(answer->body + answer->body_length, bytes, kept);
    answer->body_length += kept;
    if (length > room)
        answer->cut = true;
    return length;
}

/* ---- preparing the request ---- */

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
    bool has_length = *request->method == 'P'; /* POST, PUT, PATCH: say Content-Length: 0 when there is no body */

    if (request->body != NULL || has_length) {
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
    add_header(exchange, "Expect:"); /* else a large body waits for a 100 Continue that many servers do not send */
}

/* What http.h promises of all requests. */
static void set_rules(struct exchange *exchange)
{
    CURL *curl = exchange->curl;

    if (http_url_is_local(exchange->url))
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "candhook/" PACKAGE_VERSION);
}

static void set_callbacks(struct exchange *exchange)
{
    CURL *curl = exchange->curl;

    curl_easy_setopt(curl, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->curl_error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
}

struct exchange *http_exchange_new(const struct http_request *request, struct err *err)
{
    struct exchange *exchange;
    char *server;
    CURLU *url;

    if (check_request(request, err) != RESULT_OK || http_url_parse(request->url, &url, &server, err) != RESULT_OK)
        return NULL;
    exchange = memory_new(1, sizeof *exchange);
    exchange->curl = http_must(curl_easy_init());
    exchange->url = url;
    exchange->server = server;
    exchange->body_limit = request->answer_bytes;
    exchange->status_only = request->status_only;
    exchange->answer.retry_after = -1;
    for (size_t i = 0; i < HTTP_HEADERS && request->headers[i] != NULL; i++)
        add_header(exchange, request->headers[i]);
    set_body(exchange, request);
    set_rules(exchange);
    set_callbacks(exchange);
    curl_easy_setopt(exchange->curl, CURLOPT_CURLU, exchange->url);
    curl_easy_setopt(exchange->curl, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(exchange->curl, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    return exchange;
}

void http_exchange_free(struct exchange *exchange)
{
    curl_easy_cleanup(exchange->curl);
    curl_slist_free_all(exchange->headers);
    curl_url_cleanup(exchange->url);
    free(exchange->server);
    http_answer_free(&exchange->answer);
    free(exchange);
}

/* ---- the result ---- */

/* Returns whether libcurl's description quotes a part of the URL that may be a secret. */
static bool quotes_secret(const struct exchange *exchange)
{
    static const CURLUPart parts[] = {CURLUPART_PATH, CURLUPART_QUERY, CURLUPART_USER, CURLUPART_PASSWORD};
    bool quotes = false;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *text = http_url_part(exchange->url, parts[i]);

        if (text != NULL && *text != '\0' && strcmp(text, "/") != 0 && strstr(exchange->curl_error, text) != NULL)
            quotes = true;
        curl_free(text);
    }
    return quotes;
}

static void describe_failure(struct exchange *exchange, CURLcode code)
{
    const char *reason = exchange->abort_reason;

    if (reason == NULL)
        reason =
            *exchange->curl_error != '\0' && !quotes_secret(exchange) ? exchange->curl_error : curl_easy_strerror(code);
    err_set(&exchange->why, "no answer from %s: %s", exchange->server, reason);
    for (char *at = exchange->why.text; *at != '\0'; at++)
        *at = printable_in_line(*at);
}

void http_exchange_end(struct exchange *exchange, CURLcode code)
{
    struct http_answer *answer = &exchange->answer;
    long status = 0;

    exchange->ended = true;
    exchange->result = RESULT_RETRY;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(exchange->curl, CURLINFO_TOTAL_TIME, &answer->seconds);
    if (code != CURLE_OK && exchange->status_only && status >= 200) {
        answer->cut = true;
    } else if (code != CURLE_OK) {
        describe_failure(exchange, code);
        return;
    }
    /* libcurl takes a line that begins with "http/" in small letters for the status 200, whatever it says. */
    if (status < 100 || status > 599 || answer->reason == NULL) {
        err_set(&exchange->why, "no answer from %s: its status line is none of HTTP", exchange->server);
        return;
    }
    answer->status = (int)status;
    answer->body = memory_resize(answer->body, 1, answer->body_length + 1);
    answer->body[answer->body_length] = '\0';
    exchange->result = RESULT_OK;
}
