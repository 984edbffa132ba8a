/*
 * SPDX-License-Identifier: ISC
 *
 * What is told of outcomes: log lines, and counts in the spool's folder `outcomes` (spool/counts.h), which
 * `candhook status --openmetrics` shows. The keys of the counts:
 *
 *     recorded, malformed, unhandled      events and bodies
 *     RESULT HANDLER                      attempts; RESULT is ok, retry, failed or lost
 *     within SECONDS HANDLER              outcomes ok and failed, by the time since the event was received: less than
 *                                         SECONDS, and not less than the bound before it (COUNTS_BOUNDS)
 *     milliseconds HANDLER                the sum of these times
 */
#ifndef CANDHOOK_OUTCOMES_H
#define CANDHOOK_OUTCOMES_H

#include <stdint.h>

/* Begins to count in this process, for the spool of this folder. What cannot be counted is logged, once. */
void outcomes_open(int spool);

/* Writes the counts, and ends. */
void outcomes_close(void);

/* Writes the counts when that is due. Returns the milliseconds until it is, -1 when nothing changed. */
int outcomes_write_due(void);

/* Counts EVENTS of a kind: "recorded", "malformed" or "unhandled". */
void outcomes_count(const char *kind, uint64_t events);

/* Logs and counts an outcome that was recorded: a warning, or at level debug when RESULT is "ok". */
void outcomes_attempt(const char *handler, const char *event_id, const char *result, const char *detail);

/* The same for EVENTS first attempts that were ok, all in one transaction. OLDEST_ID is the first event of it: when it
 * was received is taken for all. */
void outcomes_first(const char *handler, uint64_t events, const uint8_t oldest_id[16]);

/* Logs that the API has refused the bot token of a community, and where its admin authorizes the App again. */
void outcomes_refused_token(const char *origin_community_id, const char *redirect_uri);

/* Logs that it has, but that the database could not mark the token. */
void outcomes_unmarked_token(const char *origin_community_id, const char *reason);

#endif
