/*
 * SPDX-License-Identifier: ISC
 *
 * Pages may stand in no frame and are kept by no cache. No Referer leads from them to anybody: the address of a
 * callback holds a code. They hold no script and load nothing; the console loads its own script and style, and neither
 * holds any.
 */
#include <config.h>

#include "web/web_answer.h"

#include "base/memory.h"
#include "event/json_write.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STYLE                                                                                                          \
    "body{font:1.1em/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color-scheme:light dark}"   \
    "code{overflow-wrap:anywhere}"

static const char headers[] = "Cache-Control: no-store\r\n"
                              "Referrer-Policy: no-referrer\r\n"
                              "X-Content-Type-Options: nosniff\r\n";
static const char csp[] = "Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; "
                          "frame-ancestors 'none'; ";
static const char csp_of_page[] = "style-src 'unsafe-inline'\r\n";
static const char csp_of_console[] =
    "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; require-trusted-types-for 'script'\r\n";

static void write_escaped(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("&<>\"'", *text) != NULL)
            fprintf(to, "&#%d;", *text);
        else
            putc(*text, to);
    }
}

void web_answer_begin(struct web_answer *answer, int status, const char *title)
{
    answer->status = status;
    answer->writes = memory_open_stream(&answer->page, &answer->page_length);
    fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<style>" STYLE "</style>\n<title>",
          answer->writes);
    write_escaped(answer->writes, title);
    fputs("</title>\n<main>\n<h1>", answer->writes);
    write_escaped(answer->writes, title);
    fputs("</h1>\n", answer->writes);
}

void web_answer_paragraph(struct web_answer *answer, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    fputs("<p>", answer->writes);
    write_escaped(answer->writes, text);
    fputs("</p>\n", answer->writes);
    free(text);
}

void web_answer_list(struct web_answer *answer, char *const *texts, size_t count)
{
    fputs("<ul>\n", answer->writes);
    for (size_t i = 0; i < count; i++) {
        fputs("<li><code>", answer->writes);
        write_escaped(answer->writes, texts[i]);
        fputs("</code></li>\n", answer->writes);
    }
    fputs("</ul>\n", answer->writes);
}

void web_answer_link(struct web_answer *answer, const char *href, const char *text)
{
    fprintf(answer->writes, "<p><a href=\"%s\">", href);
    write_escaped(answer->writes, text);
    fputs("</a></p>\n", answer->writes);
}

void web_answer_end(struct web_answer *answer)
{
    fputs("</main>\n</html>\n", answer->writes);
    memory_close_stream(answer->writes);
    answer->writes = NULL;
}

void web_answer_text_of(struct web_answer *answer, int status, const char *type, const char *text)
{
    answer->status = status;
    answer->type = type;
    answer->page = memory_copy_text(text);
    answer->page_length = strlen(text);
}

void web_answer_bytes(struct web_answer *answer, const char *type, const char *bytes, size_t length)
{
    answer->status = 200;
    answer->type = type;
    answer->page = memory_copy_bytes(bytes, length);
    answer->page_length = length;
}

void web_answer_json(struct web_answer *answer, int status, char *json)
{
    answer->status = status;
    answer->type = "application/json";
    answer->page = json;
    answer->page_length = strlen(json);
}

void web_answer_error(struct web_answer *answer, int status, const char *words, const char *remedy)
{
    struct json_writer *json = json_write_new();

    json_write_text(json, "error", words);
    if (remedy != NULL)
        json_write_text(json, "hint", remedy);
    web_answer_json(answer, status, json_write_finish(json));
}

void web_answer_redirect(struct web_answer *answer, const char *url)
{
    answer->status = 302;
    answer->location = memory_copy_text(url);
}

/* Returns the reason phrase; "" for a status that none of ours has. */
static const char *reason_of(int status)
{
    static const struct web_reason {
        int status;
        const char *phrase;
    } reasons[] = {{200, "OK"},
                   {302, "Found"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {413, "Content Too Large"},
                   {429, "Too Many Requests"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {0, ""}};
    const struct web_reason *at = reasons;

    while (at->status != status && at->status != 0)
        at++;
    return at->phrase;
}

char *web_answer_text(const struct web_answer *answer, bool head_only, size_t *length)
{
    char *text;
    FILE *to = memory_open_stream(&text, length);

    fprintf(to, "Status: %d %s\r\nContent-Type: %s\r\n%s%s%s", answer->status, reason_of(answer->status),
            answer->type != NULL ? answer->type : "text/html; charset=utf-8", headers, csp,
            answer->runs_script ? csp_of_console : csp_of_page);
    if (answer->allow != NULL)
        fprintf(to, "Allow: %s\r\n", answer->allow);
    if (answer->bearer)
        fputs("WWW-Authenticate: Bearer\r\n", to);
    if (answer->location != NULL)
        fprintf(to, "Location: %s\r\n", answer->location);
    if (answer->cookie != NULL)
        fprintf(to, "Set-Cookie: %s\r\n", answer->cookie);
    fprintf(to, "Content-Length: %zu\r\n\r\n", answer->page_length);
    if (!head_only && answer->page != NULL)
        fwrite(answer->page, 1, answer->page_length, to);
    memory_close_stream(to);
    return text;
}

void web_answer_free(struct web_answer *answer)
{
    free(answer->location);
    memory_free_secret(answer->cookie);
    free(answer->page);
}
