/*
 * SPDX-License-Identifier: ISC
 *
 * The load generator's command line.
 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct options {
    struct sockaddr_in address;
    char host[64];
    char path[256];
    const char *prefix;
    const char *acknowledged;
    const char *type;
    double seconds, rate, every, timeout;
    uint64_t count, first;
    int connections, communities, no_keep_alive;
    size_t size;
};

/* Reads the command line; ends the program when it is wrong. */
void options_read(struct options *options, int argc, char **argv);

#endif
