/*
 * SPDX-License-Identifier: ISC
 *
 * Checks the records of one FastCGI request in memory, without input or output, so that it can be fuzzed. It tells when
 * a request is whole, and refuses what a front never sends: libfcgi waits in read(2) for what is missing, and ends the
 * program when a length is absurd, so it is given only what passed here.
 *
 * A request is a BEGIN_REQUEST for a responder, then PARAMS up to an empty record, then STDIN up to an empty record or
 * an ABORT_REQUEST, all with the same request id. Nothing else may stand between them: no second request
 * (multiplexing), no management record, no unknown type.
 */
#ifndef CANDHOOK_FCGI_CHECK_H
#define CANDHOOK_FCGI_CHECK_H

#include <stddef.h>
#include <stdint.h>

#define FCGI_HEAD_BYTES (128u << 10) /* the head, which is all records before STDIN, has at most this size */

enum fcgi_checked {
    FCGI_CHECKED_BROKEN,  /* no request, or no longer one */
    FCGI_CHECKED_NO_HEAD, /* so far a request, whose parameters are not all there */
    FCGI_CHECKED_HEAD,    /* all parameters are there, the body is not */
    FCGI_CHECKED_WHOLE    /* all is there */
};

/* What is known of a request whose bytes come in pieces. All zero: nothing yet. */
struct fcgi_check {
    size_t end;        /* offset behind the last whole record; with FCGI_CHECKED_WHOLE, the end of the request */
    size_t body_bytes; /* content of the STDIN records before END */
    uint16_t id;
    uint8_t expects;        /* enum fcgi_expects */
    uint8_t lengths[8];     /* of a name-value pair that begins in one record and goes on in another: */
    unsigned lengths_count; /* the bytes of its two lengths so far, */
    size_t pair_bytes_left; /* or what is missing of its name and value */
};

/*
 * Goes on with the check of a request that begins at BYTES, of which LENGTH are there by now: as many as in the call
 * before, or more. After FCGI_CHECKED_BROKEN or FCGI_CHECKED_WHOLE the check is over.
 */
enum fcgi_checked fcgi_check(struct fcgi_check *check, const uint8_t *bytes, size_t length);

#endif
