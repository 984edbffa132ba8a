/*
 * SPDX-License-Identifier: ISC
 *
 * The lines of the log about outcomes.
 */
#ifndef CANDHOOK_OUTCOME_LOG_H
#define CANDHOOK_OUTCOME_LOG_H

/* A store_outcome_fn; CONTEXT is the handler's name. */
void outcome_log_attempt(void *context, const char *event_id, const char *result, const char *detail);

/* The API has refused the bot token of a community. */
void outcome_log_refused_token(const char *origin_community_id);

#endif
