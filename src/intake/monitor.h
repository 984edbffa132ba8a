/*
 * SPDX-License-Identifier: ISC
 *
 * The first process of candhook.fcgi under FastCGI. It keeps a responder running, starts workers, and never touches a
 * request.
 */
#ifndef CANDHOOK_MONITOR_H
#define CANDHOOK_MONITOR_H

#include "conf/conf.h"

#include <stdbool.h>

/*
 * Runs SERVE, which answers on its own and returns an exit status, in a child, the responder, until it ends or this
 * process is told to end. A responder that a signal killed is followed by another. Starts workers when STARTS_WORKERS.
 * BROKER is the responder's end of the socket of file_broker.h. Returns the exit status of the last responder.
 */
int monitor_run(struct conf *conf, bool starts_workers, int (*serve)(struct conf *conf, int broker, void *context),
                void *context);

#endif
