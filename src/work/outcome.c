/*
 * SPDX-License-Identifier: ISC
 *
 * Outcomes in the log: failures as warnings, the rest only for those who debug.
 */
#include <config.h>

#include "outcome.h"

#include "log.h"

#include <string.h>

void outcome_say(void *context, const char *event_id, const char *result, const char *detail)
{
    struct log_quoted handler, quoted;
    const char *name = log_quote(&handler, context, strlen(context));
    const char *text = log_quote(&quoted, detail, detail != NULL ? strlen(detail) : 0);

    if (strcmp(result, "ok") == 0)
        log_debug("event=%s handler=%s outcome=ok detail=%s", event_id, name, text);
    else
        log_warning("event=%s handler=%s outcome=%s detail=%s", event_id, name, result, text);
}

void outcome_say_refused(const char *origin_community_id)
{
    struct log_quoted community;

    log_warning("community=%s bot_token=refused by the API; its deliveries are held until a new one is stored",
                log_quote(&community, origin_community_id, strlen(origin_community_id)));
}
