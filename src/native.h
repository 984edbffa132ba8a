/*
 * SPDX-License-Identifier: ISC
 *
 * Runs handlers of kind `c`: functions of shared objects, against include/candhook/handler.h.
 */
#ifndef CANDHOOK_NATIVE_H
#define CANDHOOK_NATIVE_H

#include "store.h"

/* Called every few seconds while a handler runs. */
typedef void native_tick_fn(void *context);

/*
 * Runs the lease's handler for each of its deliveries, in order, in a child process of its own; OUTCOMES has room for
 * all of them. A call that crashes or runs past the lease's timeout is given "retry", and the next one a new child.
 * Returns how many were run: fewer than all when we were told to end, or, with a description in ERR, when no process
 * can be had. The details of those are to be freed by native_free_details.
 */
size_t native_run(const char *handler_dir, const struct store_lease *lease, struct store_outcome *outcomes,
                  native_tick_fn *tick, void *context, struct err *err);

void native_free_details(struct store_outcome *outcomes, size_t count);

#endif
