/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/outcomes.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "http/oauth.h"
#include "spool/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of this process, as its log is. NULL: it does not count. */
static struct counts *counts;

/* ---- counts ---- */

void outcomes_open(int spool)
{
    struct err err;

    counts_abandon(counts);
    if (counts_open(spool, COUNTS_OUTCOMES, &counts, &err) != RESULT_OK)
        log_warning("outcomes=not_counted reason=%s", err.text);
}

void outcomes_close(void)
{
    counts_close(counts);
    counts = NULL;
}

int outcomes_write_due(void)
{
    return counts_write_due(counts);
}

void outcomes_count(const char *kind, uint64_t events)
{
    if (events > 0)
        counts_add(counts, kind, events);
}

static void count_result(const char *result, const char *handler, uint64_t events)
{
    char key[COUNTS_KEY_BYTES];

    snprintf(key, sizeof key, "%s %s", result, handler);
    counts_add(counts, key, events);
}

/* Counts outcomes by the time since their event was received. */
static void count_time(const char *handler, uint64_t events, const uint8_t id[UUID_BYTES])
{
    static const char *const bounds[] = COUNTS_BOUNDS;
    double seconds = (double)(clock_real_ms() - (int64_t)uuid_milliseconds(id)) / 1000;
    char key[COUNTS_KEY_BYTES];
    size_t bound = 0;

    while (bound + 1 < sizeof bounds / sizeof *bounds && seconds >= strtod(bounds[bound], NULL))
        bound++;
    snprintf(key, sizeof key, "within %s %s", bounds[bound], handler);
    counts_add(counts, key, events);
    snprintf(key, sizeof key, "milliseconds %s", handler);
    counts_add(counts, key, seconds > 0 ? (uint64_t)(seconds * 1000) * events : 0);
}

static bool ends_event(const char *result)
{
    return strcmp(result, "ok") == 0 || strcmp(result, "failed") == 0;
}

/* ---- outcomes ---- */

void outcomes_attempt(const char *handler, const char *event_id, const char *result, const char *detail)
{
    uint8_t id[UUID_BYTES];

    if (strcmp(result, "ok") == 0)
        log_debug("event=%s handler=%s outcome=ok detail=%s", event_id, handler, detail);
    else
        log_warning("event=%s handler=%s outcome=%s detail=%s", event_id, handler, result, detail);
    count_result(result, handler, 1);
    if (ends_event(result) && uuid_parse(event_id, id))
        count_time(handler, 1, id);
}

void outcomes_first(const char *handler, uint64_t events, const uint8_t oldest_id[UUID_BYTES])
{
    log_debug("handler=%s outcome=ok events=%lu", handler, (unsigned long)events);
    count_result("ok", handler, events);
    count_time(handler, events, oldest_id);
}

void outcomes_refused_token(const char *origin_community_id, const char *redirect_uri)
{
    char *url = oauth_install_url(redirect_uri);

    log_warning("community=%s bot_token=refused effect=\"its deliveries are held\" "
                "remedy=\"an admin of the community authorizes the App again, or a new token is stored\" authorize=%s",
                origin_community_id, url != NULL ? url : "candhook-authorize-url");
    free(url);
}

void outcomes_unmarked_token(const char *origin_community_id, const char *reason)
{
    log_warning("community=%s bot_token=refused effect=\"it could not be marked\" reason=%s", origin_community_id,
                reason);
}
