/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `exec`: a program in handler_dir, run once for each attempt.
 */
#ifndef CANDHOOK_KIND_EXEC_H
#define CANDHOOK_KIND_EXEC_H

#include "conf/conf.h"
#include "work/attempt.h"

/*
 * Begins an attempt: starts the program, without a shell, with an environment of its own and the event's JSON on stdin.
 * When there is no such program, the attempt has ended when this returns. RESULT_RETRY when there can be no process: a
 * limit of the host, mostly. Then the attempt has not begun.
 */
MUST_CHECK enum result kind_exec_begin(struct attempt *attempt, const struct conf *conf, struct err *err);

/* Returns the descriptor that is readable when kind_exec_step has something to do; -1 after the output was closed. */
int kind_exec_descriptor(const struct attempt *attempt);

/* Reads output and checks the deadline. Ends the attempt when the program has ended. */
void kind_exec_step(struct attempt *attempt);

/* Kills the program of an attempt that runs. The caller ends the attempt. */
void kind_exec_kill(struct attempt *attempt);

#endif
