/*
 * SPDX-License-Identifier: ISC
 *
 * An HTTP/1.x answer.
 */
#include <config.h>

#include "load_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_begin(struct answer *answer)
{
    answer->framing = IN_HEAD;
    answer->head_length = 0;
}

/* Takes the status line and the headers apart. 0: that is no answer. */
static int read_head(struct answer *answer)
{
    char *line = answer->head;
    int minor;

    if (sscanf(line, "HTTP/1.%d %d", &minor, &answer->status) != 2 || answer->status < 100 || answer->status >= 600)
        return 0;
    answer->closes = minor == 0;
    answer->framing = BY_CLOSE;
    while ((line = strstr(line, "\r\n")) != NULL && strncmp(line, "\r\n\r\n", 4) != 0) {
        line += 2;
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            answer->framing = BY_LENGTH;
            answer->left = strtoull(line + 15, NULL, 10);
        } else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) {
            answer->framing = CHUNK_SIZE;
            answer->left = 0;
        } else if (strncasecmp(line, "Connection: close", 17) == 0) {
            answer->closes = 1;
        } else if (strncasecmp(line, "Connection: keep-alive", 22) == 0) {
            answer->closes = 0;
        }
    }
    if (answer->status == 204 || answer->status == 304) {
        answer->framing = BY_LENGTH;
        answer->left = 0;
    }
    return 1;
}

/* One byte of a body in chunks. Returns whether that was the last one. */
static int read_chunked(struct answer *answer, char byte)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit;

    switch (answer->framing) {
    case CHUNK_SIZE:
        digit = byte != '\0' ? strchr(digits, byte) : NULL;
        if (digit != NULL)
            answer->left = answer->left * 16 + (uint64_t)((digit - digits) % 16);
        if (byte != '\n')
            return 0;
        answer->framing = answer->left > 0 ? CHUNK_DATA : CHUNK_END;
        answer->left += 2;
        answer->line_length = 0;
        return 0;
    case CHUNK_DATA:
        if (--answer->left == 0)
            answer->framing = CHUNK_SIZE;
        return 0;
    default:
        if (byte == '\n' && answer->line_length == 0)
            return 1;
        answer->line_length = byte == '\n' ? 0 : answer->line_length + (byte != '\r');
        return 0;
    }
}

/* Takes LENGTH bytes of a body. Returns whether the answer is whole. */
static int read_body(struct answer *answer, const char *bytes, size_t length)
{
    if (answer->framing == BY_LENGTH) {
        answer->left -= length < answer->left ? length : answer->left;
        return answer->left == 0;
    }
    for (size_t i = 0; i < length && answer->framing != BY_CLOSE; i++)
        if (read_chunked(answer, bytes[i]))
            return 1;
    return 0;
}

int answer_take(struct answer *answer, const char *bytes, size_t length)
{
    size_t before = answer->head_length;
    char *end;

    if (answer->framing != IN_HEAD)
        return read_body(answer, bytes, length);
    if (before + length >= ANSWER)
        return -1;
    memcpy(answer->head + before, bytes, length);
    answer->head_length += length;
    answer->head[answer->head_length] = '\0';
    end = strstr(answer->head, "\r\n\r\n");
    if (end == NULL)
        return 0;
    if (!read_head(answer))
        return -1;
    end += 4;
    return read_body(answer, end, answer->head_length - (size_t)(end - answer->head));
}
