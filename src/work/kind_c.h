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
 * Starts a process for ATTEMPTS[0..COUNT), which all wait, and begins the first. The process begins the others by
 * itself, but none after UNTIL (monotonic ms). Returns NULL with the reason in ERR when there can be no process: a
 * limit of the host, mostly. Then nothing has begun.
 */
struct c_process *kind_c_start(struct attempt *attempts, size_t count, int64_t until, const struct conf *conf,
                               struct err *err);

/* Lets the process begin attempts until then (monotonic ms). */
void kind_c_allow(struct c_process *process, int64_t until);

/* Returns the descriptor that is readable when kind_c_step has something to do before the attempt's deadline. */
int kind_c_descriptor(const struct c_process *process);

/*
 * Reads answers and checks the deadline: ends attempts and begins the next ones. Returns whether the process still
 * runs. It is freed when not: all attempts have ended, it crashed or timed out in the last one that began, or it may
 * begin no other. Attempts that it has not begun are ATTEMPT_WAITS.
 */
bool kind_c_step(struct c_process *process);

/* Makes the process begin no other attempt. Those that it has begun are not ATTEMPT_WAITS from now on. */
void kind_c_finish(struct c_process *process);

/* Kills the process and frees it. The caller ends the attempt that ran. */
void kind_c_kill(struct c_process *process);

#endif
