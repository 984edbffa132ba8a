/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/outcome_log.h"

#include "base/log.h"
#include "http/oauth.h"

#include <stdlib.h>
#include <string.h>

void outcome_log_attempt(const char *handler, const char *event_id, const char *result, const char *detail)
{
    if (strcmp(result, "ok") == 0)
        log_debug("event=%s handler=%s outcome=ok detail=%s", event_id, handler, detail);
    else
        log_warning("event=%s handler=%s outcome=%s detail=%s", event_id, handler, result, detail);
}

void outcome_log_refused_token(const char *origin_community_id, const char *redirect_uri)
{
    char *url = oauth_install_url(redirect_uri);

    log_warning("community=%s bot_token=refused effect=\"its deliveries are held\" "
                "remedy=\"an admin of the community authorizes the App again, or a new token is stored\" authorize=%s",
                origin_community_id, url != NULL ? url : "candhook-authorize-url");
    free(url);
}

void outcome_log_unmarked_token(const char *origin_community_id, const char *reason)
{
    log_warning("community=%s bot_token=refused effect=\"it could not be marked\" reason=%s", origin_community_id,
                reason);
}
