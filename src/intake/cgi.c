/*
 * SPDX-License-Identifier: ISC
 *
 * One CGI request. The body is read to its end whatever the answer: fronts break when a program leaves a part unread.
 */
#include <config.h>

#include "intake/cgi.h"

#include "intake/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cgi_is_request(void)
{
    return getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
}

/* Reads fd 0 to its end into BODY of SIZE bytes; what is beyond is read and forgotten, LENGTH is SIZE then. */
static size_t read_to_end(char *body, size_t size, int *broken)
{
    char beyond[8192];
    size_t length = 0;
    ssize_t got;

    do {
        got = length < size ? read(0, body + length, size - length) : read(0, beyond, sizeof beyond);
        if (got > 0 && length < size)
            length += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    *broken = got < 0;
    return length;
}

/* A front that has gone does not matter: what is in the spool is there. */
static void send_answer(enum status status)
{
    const char *text = request_answer(status);

    (void)!write(1, text, strlen(text));
}

void cgi_answer_unavailable(void)
{
    int broken;

    read_to_end(NULL, 0, &broken);
    send_answer(STATUS_UNAVAILABLE);
}

/* What request_judge_body says, and the body in the spool when it is to be there. */
static enum status keep_body(struct intake *intake, const struct request_head *head, const char *label,
                             const char *body, size_t length, int broken)
{
    struct segment_record record = {.label = label, .body = body, .body_length = length};
    int spool;
    enum status status = request_judge_body(head, intake->conf, body, length, broken, &spool, &record.flag);

    if (!spool)
        return status;
    record.label_length = strlen(label);
    uuid_new(record.id);
    return intake_keep(intake, &record, 1) ? status : STATUS_UNAVAILABLE;
}

enum status cgi_answer(struct intake *intake)
{
    const struct request_head head = {
        .method = getenv("REQUEST_METHOD"),
        .uri = getenv("REQUEST_URI"),
        .content_length = getenv("CONTENT_LENGTH"),
        .document_root = getenv("DOCUMENT_ROOT"),
    };
    size_t size = intake->conf->max_body + 1;
    char *body = malloc(size);
    const char *label;
    enum status status;
    size_t length;
    int broken;

    if (body == NULL)
        abort();
    length = read_to_end(body, size, &broken);
    status = request_judge_head(&head, intake->conf, intake->secrets, &label);
    if (status == STATUS_NONE)
        status = keep_body(intake, &head, label, body, length, broken);
    free(body);
    send_answer(status);
    answer_counts_add(intake->counts, (int)status);
    return status;
}
