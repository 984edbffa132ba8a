/*
 * SPDX-License-Identifier: ISC
 *
 * The rule of answers.
 */
#include <config.h>

#include "intake/request.h"

#include "base/json_shape.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Returns the length that the front announces, -1 when that is no number. */
static long long announced_length(const struct request_head *head)
{
    const char *text = head->content_length;
    char *end;
    long long value;

    if (text == NULL || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (*end != '\0')
        return -1;
    return errno == ERANGE ? INT64_MAX : value;
}

/*
 * Whether the front could hand out the configuration as a file, which would give away the database. The front tells its
 * document root with each request; it is compared again only when it changes.
 */
static bool conf_is_exposed(const struct conf *conf, const char *document_root)
{
    static char *last;
    static bool exposed;

    if (document_root == NULL || *document_root == '\0')
        return false;
    if (last != NULL && strcmp(last, document_root) == 0)
        return exposed;
    free(last);
    last = memory_copy_text(document_root);
    exposed = conf_lies_under(conf, document_root);
    if (exposed)
        log_error("answer=503 configuration=%s document_root=%s "
                  "reason=\"the configuration or what it names lies under the document root\" "
                  "remedy=\"move it out of there\"",
                  conf->path, document_root);
    return exposed;
}

enum request_status request_judge_head(const struct request_head *head, const struct conf *conf,
                                       const struct secrets *secrets, const char **label)
{
    *label = head->uri != NULL ? secrets_match(secrets, head->uri) : NULL;
    if (*label == NULL)
        return STATUS_NOT_FOUND;
    if (head->method == NULL || strcmp(head->method, "POST") != 0)
        return STATUS_METHOD_NOT_ALLOWED;
    if (announced_length(head) > (long long)conf->max_body)
        return STATUS_TOO_LARGE;
    if (conf_is_exposed(conf, head->document_root))
        return STATUS_UNAVAILABLE;
    return STATUS_NONE;
}

struct request_verdict request_judge_body(const struct request_head *head, const struct conf *conf,
                                          const struct request_body *body)
{
    struct request_verdict verdict = {.status = STATUS_BAD_REQUEST, .spool = true, .flag = SEGMENT_WHOLE};

    if (body->length > conf->max_body)
        return (struct request_verdict){.status = STATUS_TOO_LARGE};
    if (body->length == 0)
        return (struct request_verdict){.status = STATUS_BAD_REQUEST};
    if (body->broken || announced_length(head) > (long long)body->length)
        verdict.flag = SEGMENT_CUT_OFF;
    else if (json_shape_is_object(body->bytes, body->length))
        verdict.status = STATUS_OK;
    return verdict;
}

const char *request_answer(enum request_status status)
{
    switch (status) {
    case STATUS_OK:
        return "Status: 200 OK\r\nContent-Length: 0\r\n\r\n";
    case STATUS_BAD_REQUEST:
        return "Status: 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    case STATUS_NOT_FOUND:
        return "Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    case STATUS_METHOD_NOT_ALLOWED:
        return "Status: 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n";
    case STATUS_TOO_LARGE:
        return "Status: 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    case STATUS_NONE:
    case STATUS_UNAVAILABLE:
        break;
    }
    return "Status: 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\n\r\n";
}
