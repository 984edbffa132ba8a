/*
 * SPDX-License-Identifier: ISC
 *
 * An HTTP/1.x answer, byte by byte, as far as the load generator must understand it: its status, and where it ends.
 */
#ifndef BENCH_LOAD_ANSWER_H
#define BENCH_LOAD_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#define ANSWER 4096 /* of its headers */

enum framing { IN_HEAD, BY_LENGTH, BY_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END };

struct answer {
    enum framing framing;
    int status;    /* 100 to 599, when the head is there */
    int closes;    /* the connection ends with it */
    uint64_t left; /* of the body, or of the chunk */
    int line_length;
    char head[ANSWER];
    size_t head_length;
};

void answer_begin(struct answer *answer);

/* Takes the bytes that were read. 1: they make the answer whole; 0: not yet; -1: they are no answer. */
int answer_take(struct answer *answer, const char *bytes, size_t length);

#endif
