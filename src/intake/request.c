/*
 * SPDX-License-Identifier: ISC
 *
 * The rule of answers.
 */
#include <config.h>

#include "intake/request.h"

#include "base/json_shape.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The announced length, or -1 when there is no number. */
static long long announced(const struct request_head *head)
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
 * A configuration that the front could hand out as a file would give away the database. The front tells its document
 * root with each request, so it is compared again only when it changes.
 */
static int conf_is_exposed(const struct conf *conf, const char *document_root)
{
    static char *last;
    static int exposed;

    if (document_root == NULL || *document_root == '\0')
        return 0;
    if (last == NULL || strcmp(last, document_root) != 0) {
        free(last);
        last = strdup(document_root);
        exposed = conf_lies_under(conf, document_root);
        if (exposed)
            log_error(
                "answer=503 configuration=%s document_root=%s reason=\"the configuration or what it names lies under the "
                "document root\" remedy=\"move it out of there\"",
                conf->path, document_root);
    }
    return exposed;
}

enum status request_judge_head(const struct request_head *head, const struct conf *conf, const struct secrets *secrets,
                               const char **label)
{
    *label = head->uri != NULL ? secrets_match(secrets, head->uri) : NULL;
    if (*label == NULL)
        return STATUS_NOT_FOUND;
    if (head->method == NULL || strcmp(head->method, "POST") != 0)
        return STATUS_METHOD_NOT_ALLOWED;
    if (announced(head) > (long long)conf->max_body)
        return STATUS_TOO_LARGE;
    if (conf_is_exposed(conf, head->document_root))
        return STATUS_UNAVAILABLE;
    return STATUS_NONE;
}

enum status request_judge_body(const struct request_head *head, const struct conf *conf, const char *body,
                               size_t length, int broken, int *spool, enum segment_flag *flag)
{
    *spool = 0;
    *flag = SEGMENT_WHOLE;
    if (length > conf->max_body)
        return STATUS_TOO_LARGE;
    if (length == 0)
        return STATUS_BAD_REQUEST;
    *spool = 1;
    if (broken || announced(head) > (long long)length)
        *flag = SEGMENT_CUT_OFF;
    else if (!json_shape_is_object(body, length))
        *flag = SEGMENT_NOT_OBJECT;
    return *flag == SEGMENT_WHOLE ? STATUS_OK : STATUS_BAD_REQUEST;
}

const char *request_answer(enum status status)
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
