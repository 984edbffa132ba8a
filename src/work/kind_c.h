/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `c`: functions of shared objects, against include/candhook/handler.h. One child process runs a
 * lease's attempts one after the other.
 */
#ifndef CANDHOOK_KIND_C_H
#define CANDHOOK_KIND_C_H

#include "conf/conf.h"
#include "work/attempt.h"

#include <stdbool.h>

struct c_process;

/*
 * Starts a process for ATTEMPTS[0..COUNT), which all wait, and begins the first. Returns NULL when no process can be
 * started: then the first attempt has ended.
 */
struct c_process *kind_c_start(struct attempt *attempts, size_t count, const struct conf *conf);

/* Returns the descriptor that is readable when kind_c_step has something to do before the attempt's deadline. */
int kind_c_descriptor(const struct c_process *process);

/*
 * Reads answers and checks the deadline: ends attempts and begins the next ones. Returns whether the process still
 * runs. It is freed when not: all attempts have ended, or it crashed or timed out in the last one that began.
 */
bool kind_c_step(struct c_process *process);

/* Makes kind_c_step end the process with the attempt that runs. */
void kind_c_finish(struct c_process *process);

/* Kills the process and frees it. The caller ends the attempt that ran. */
void kind_c_kill(struct c_process *process);

#endif
