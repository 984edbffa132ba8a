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
 * Begins an attempt: starts the program without a shell, with an environment made from nothing, the event's JSON on
 * stdin. What cannot be started has ended when this returns.
 */
void kind_exec_begin(struct attempt *attempt, const struct conf *conf);

/* The descriptor of an attempt that runs: it can be read when kind_exec_go_on has something to do. */
int kind_exec_descriptor(const struct attempt *attempt);

/* Goes on: reads output, minds the deadline, and ends the attempt when the program has ended. */
void kind_exec_go_on(struct attempt *attempt);

/* Breaks off an attempt that runs: the program is killed. */
void kind_exec_break_off(struct attempt *attempt);

#endif
