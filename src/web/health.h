/*
 * SPDX-License-Identifier: ISC
 *
 * What monitors ask for: .../health, .../health?ready and .../metrics.
 */
#ifndef CANDHOOK_HEALTH_H
#define CANDHOOK_HEALTH_H

#include "conf/conf.h"
#include "web/web_answer.h"
#include "web/web_request.h"

/* A judgement that the processes of a program share, so that strangers cannot have it made more than once a second. */
struct health_memory {
    int64_t judged_ms; /* monotonic; 0: not yet */
    bool ready;
};

/* Answers 200; with ?ready 200 when work goes on, 503 when not. No figure is told to strangers. MEMORY may be NULL. */
void health_answer(const struct conf *conf, const struct web_request *request, struct health_memory *memory,
                   struct web_answer *answer);

/* Answers the metrics to who shows the bearer TOKEN. NULL: there is none, and the page is not there. */
void health_answer_metrics(const struct conf *conf, const struct web_request *request, const char *token,
                           struct web_answer *answer);

#endif
