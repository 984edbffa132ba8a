/*
 * SPDX-License-Identifier: ISC
 *
 * Handlers of kind `c`: functions of shared objects, against include/candhook/handler.h. A child process, the host,
 * runs a lease's attempts one after the other.
 */
#ifndef CANDHOOK_KIND_C_H
#define CANDHOOK_KIND_C_H

#include "conf/conf.h"
#include "work/attempt.h"

struct host;

/*
 * Starts a host for ATTEMPTS[0..COUNT), which all wait, and begins the first. NULL when no process can be had: then the
 * first has ended.
 */
struct host *kind_c_start(struct attempt *attempts, size_t count, const struct conf *conf);

/* The descriptor that can be read when kind_c_go_on has something to do. */
int kind_c_descriptor(const struct host *host);

/* When kind_c_go_on is to be called at the latest; monotonic ms. */
int64_t kind_c_deadline(const struct host *host);

/*
 * Takes answers, minds the deadline; ends attempts and begins those after them. Returns 0 when the host has ended: with
 * all attempts, or with the one that it crashed or hung in; then it is freed.
 */
int kind_c_go_on(struct host *host);

/* No attempt after the current one is to be begun: the host ends with it. */
void kind_c_wind_up(struct host *host);

/* Breaks off the attempt that runs, and frees the host. */
void kind_c_break_off(struct host *host);

#endif
