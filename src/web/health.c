/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "web/health.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "status/openmetrics.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_TYPE "text/plain; charset=utf-8"
#define JUDGED_MS 1000
#define BEARER "Bearer "

static bool judge_readiness(const struct conf *conf)
{
    struct installation installation;
    bool ready;

    installation_read(&installation, conf, conf_web_database(conf), STORE_STATUS_ONLY);
    ready = installation.has_database && installation.reason_count == 0;
    if (!ready)
        log_warning("health=%s reason=%s", installation_word(&installation),
                    installation.reason_count > 0 ? installation.reasons[0] : installation.database_err.text);
    installation_free(&installation);
    return ready;
}

static bool is_ready(const struct conf *conf, struct health_memory *memory)
{
    int64_t now = clock_monotonic_ms();
    bool ready;

    if (memory != NULL && memory->judged_ms != 0 && now - memory->judged_ms < JUDGED_MS)
        return memory->ready;
    ready = judge_readiness(conf);
    if (memory != NULL)
        *memory = (struct health_memory){now, ready};
    return ready;
}

void health_answer(const struct conf *conf, const struct web_request *request, struct health_memory *memory,
                   struct web_answer *answer)
{
    bool ready = !web_request_asks(request, "ready") || is_ready(conf, memory);

    web_answer_text_of(answer, ready ? 200 : 503, TEXT_TYPE, ready ? "ok\n" : "not ready\n");
}

static bool shows_token(const struct web_request *request, const char *token)
{
    return strncasecmp(request->authorization, BEARER, sizeof BEARER - 1) == 0 &&
           digest_equal(request->authorization + sizeof BEARER - 1, token);
}

void health_answer_metrics(const struct conf *conf, const struct web_request *request, const char *token,
                           struct web_answer *answer)
{
    struct installation installation;
    char *text;

    if (!shows_token(request, token)) {
        web_answer_text_of(answer, 401, TEXT_TYPE, "The token of the setting metrics_token is needed.\n");
        answer->bearer = true;
        return;
    }
    installation_read(&installation, conf, conf_web_database(conf), STORE_STATUS_DELIVERIES);
    text = openmetrics_text(&installation);
    web_answer_text_of(answer, 200, OPENMETRICS_CONTENT_TYPE, text);
    free(text);
    installation_free(&installation);
}
