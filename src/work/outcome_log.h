/*
 * SPDX-License-Identifier: ISC
 *
 * The log lines about outcomes.
 */
#ifndef CANDHOOK_OUTCOME_LOG_H
#define CANDHOOK_OUTCOME_LOG_H

/* Logs an outcome that was recorded: a warning, or at level debug when RESULT is "ok". */
void outcome_log_attempt(const char *handler, const char *event_id, const char *result, const char *detail);

/* Logs that the API has refused the bot token of a community, and where its admin authorizes the App again. */
void outcome_log_refused_token(const char *origin_community_id, const char *redirect_uri);

/* Logs that it has, but that the database could not mark the token. */
void outcome_log_unmarked_token(const char *origin_community_id, const char *reason);

#endif
