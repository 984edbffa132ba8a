/*
 * SPDX-License-Identifier: ISC
 *
 * The processes that run handlers. Those of kind sql run in the database, one batch after the other, in each of several
 * runners; all others run outside of it, many at once, in one more. So neither holds up the other.
 */
#ifndef CANDHOOK_RUNNER_H
#define CANDHOOK_RUNNER_H

#include "conf/conf.h"

#include <stdatomic.h>
#include <stdint.h>

struct runner_post {
    const char *name; /* of the leases */
    int wake;         /* descriptor that can be read (an eventfd) when something was recorded; -1: none */
    int dispatch;     /* runs what runs outside the database */
    int first;        /* leaves slow sql handlers to the spare ones, so that quick ones never wait for them */
    int spare;        /* leaves quick sql handlers to the first one while events come in: fewer and larger batches, and
                         more of the machine for the answers */
    const _Atomic int64_t *recorded; /* monotonic ms of when something was recorded last, shared by all processes */
};

/* The life of a runner process: works until told to end, and waits while there is nothing to do. */
void runner_main(const struct conf *conf, const struct runner_post *post);

#endif
