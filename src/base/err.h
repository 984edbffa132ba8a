/*
 * SPDX-License-Identifier: ISC
 *
 * What every function that can fail returns, and where it describes the failure.
 *
 * A module describes a failure, and its caller decides what to say. So base, conf, spool, event, http and store never
 * log. The log is written by the modules of intake and work, whose loops go on after a failure, and by the top level of
 * `candhook work` (tool/verb_work.c). tests/includes.t checks that.
 */
#ifndef CANDHOOK_ERR_H
#define CANDHOOK_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum result {
    RESULT_OK,
    RESULT_RETRY, /* failed now, may succeed later */
    RESULT_FAIL   /* fails until somebody changes something */
};

/* One line for people, without a full stop and without secrets. */
struct err {
    char text[1024];
};

/* Sets the description; what does not fit is cut off. */
void err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, followed by ": " and the text of errno. */
void err_set_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
