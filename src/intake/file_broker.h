/*
 * SPDX-License-Identifier: ISC
 *
 * The two files that a confined responder opens again while it runs: the URL secrets when they change, the log when it
 * is rotated. It asks its monitor, which opens these two paths and no others, and passes the descriptor.
 */
#ifndef CANDHOOK_FILE_BROKER_H
#define CANDHOOK_FILE_BROKER_H

#include "conf/conf.h"

/* The responder's side: from now on io_open asks by the socket FD. Any other path is EACCES. CONF is borrowed. */
void file_broker_use(int fd, const struct conf *conf);

/* The monitor's side: answers one request that waits on the socket FD. */
void file_broker_answer(int fd, const struct conf *conf);

#endif
