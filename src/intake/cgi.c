/*
 * SPDX-License-Identifier: ISC
 *
 * One CGI request. The body is read to its end whatever the answer: fronts break when a program leaves a part unread.
 */
#include <config.h>

#include "intake/cgi.h"

#include "base/memory.h"
#include "intake/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cgi_is_request(void)
{
    return getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
}

/* Reads fd 0 to its end. The first SIZE bytes go to BYTES, which the result borrows; the rest is discarded. */
static struct request_body read_stdin_body(char *bytes, size_t size)
{
    struct request_body body = {.bytes = bytes};
    char discarded[8192];
    ssize_t got;

    do {
        bool room = body.length < size;

        got = room ? read(0, bytes + body.length, size - body.length) : read(0, discarded, sizeof discarded);
        if (got > 0 && room)
            body.length += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    body.broken = got < 0;
    return body;
}

/* That the front may have gone does not matter: what is in the spool stays. */
static void write_answer(enum request_status status)
{
    const char *text = request_answer(status);

    (void)!write(1, text, strlen(text));
}

void cgi_answer_unavailable(void)
{
    read_stdin_body(NULL, 0);
    write_answer(STATUS_UNAVAILABLE);
}

/* Judges the body, and spools it when it is to be spooled. Returns the answer. */
static enum request_status spool_body(struct intake *intake, const struct request_head *head, const char *label,
                                      const struct request_body *body)
{
    struct request_verdict verdict = request_judge_body(head, intake->conf, body);
    struct segment_record record = {.flag = verdict.flag, .body = body->bytes, .body_length = body->length};

    if (!verdict.spool)
        return verdict.status;
    uuid_new(record.id);
    return intake_append(intake, &record, &label, 1) ? verdict.status : STATUS_UNAVAILABLE;
}

enum request_status cgi_answer(struct intake *intake)
{
    const struct request_head head = {
        .method = getenv("REQUEST_METHOD"),
        .uri = getenv("REQUEST_URI"),
        .content_length = getenv("CONTENT_LENGTH"),
        .document_root = getenv("DOCUMENT_ROOT"),
    };
    size_t size = intake->conf->max_body + 1;
    char *bytes = memory_new(size, 1);
    struct request_body body = read_stdin_body(bytes, size);
    const char *label;
    enum request_status status = request_judge_head(&head, intake->conf, intake->secrets, &label);

    if (status == STATUS_NONE)
        status = spool_body(intake, &head, label, &body);
    free(bytes);
    write_answer(status);
    intake_count(intake, status);
    return status;
}
