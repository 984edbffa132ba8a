/*
 * SPDX-License-Identifier: ISC
 *
 * What must stay true: a code is exchanged only in the browser that began, with the state and the verifier that it was
 * given (login CSRF, RFC 9700). The code cannot be had twice, so once it was exchanged the token is kept in memory
 * until the database has it. Nothing of code, verifier, token or secret goes into a log or a page.
 */
#include <config.h>

#include "web/install.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/oauth.h"
#include "http/scopes.h"
#include "http/url.h"
#include "web/seal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BEGIN_SECONDS 600  /* how long the admin may take */
#define STORE_MS 20000     /* how long the token waits for a database that is away, */
#define STORE_AGAIN_MS 500 /* asked this often */
#define STATEMENT_MS 5000  /* longest time of a statement, with its waits for locks */
#define COMMUNITY_BYTES 255
#define CODE_BYTES 2048
#define STATE_BYTES 64
#define KEPT_BYTES 64 /* of a community, percent-encoded: the cookies must fit into a header */
#define PURPOSE "install"

/* ---- the cookie: state, verifier, community ---- */

static bool is_https(const struct conf *conf)
{
    return strncmp(conf->redirect_uri, "https://", 8) == 0;
}

/*
 * Returns the cookie's name, allocated: the state chooses one of sixteen, so that a browser may be in the middle of
 * several installations, and its cookies still fit into a header. With __Host- no other host of the domain can set it;
 * browsers take such names over https only.
 */
static char *make_cookie_name(const struct conf *conf, const char *state)
{
    return memory_format("%scandhook-install-%x", is_https(conf) ? "__Host-" : "", (unsigned)*state & 15);
}

/* Returns Set-Cookie for VALUE, allocated. SameSite=Lax: the way back from the platform is a link of another site. */
static char *make_cookie(const struct conf *conf, const char *state, const char *value, int seconds)
{
    char *name = make_cookie_name(conf, state);
    char *cookie = memory_format("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s", name, value, seconds,
                                 is_https(conf) ? "; Secure" : "");

    free(name);
    return cookie;
}

/* ---- the beginning ---- */

/* Adds the link for another try, for the same COMMUNITY, percent-encoded; "": for any. */
static void add_install_link(struct web_answer *answer, const char *community, const char *text)
{
    char *href = memory_format("install%s%s", *community != '\0' ? "?community_id=" : "", community);

    web_answer_link(answer, href, text);
    free(href);
}

/* Returns the community that the browser asks for, percent-encoded and allocated; "": none. */
static char *read_community(const struct web_request *request)
{
    char *community = web_request_parameter(request, "community_id", COMMUNITY_BYTES);
    char *encoded = url_encode(community != NULL ? community : "");

    free(community);
    return encoded;
}

static void answer_unavailable(const struct web_request *request, struct web_answer *answer, const char *reason)
{
    char *community = read_community(request);

    log_warning("install=unavailable reason=%s", reason);
    web_answer_begin(answer, 503, "Not now");
    web_answer_paragraph(answer,
                         "The App cannot be installed at the moment. Nothing has changed: try again in a minute.");
    add_install_link(answer, community, "Try again");
    web_answer_end(answer);
    free(community);
}

/* Returns whether the settings are there; else answers. */
static bool is_set_up(const struct install *install, struct web_answer *answer)
{
    if (*install->conf->client_id != '\0' && *install->conf->redirect_uri != '\0')
        return true;
    log_warning("install=not_set_up remedy=\"set client_id and redirect_uri in candhook.conf\"");
    web_answer_begin(answer, 503, "Not set up");
    web_answer_paragraph(answer,
                         "Whoever runs this App has not set it up for installation yet: client_id and redirect_uri "
                         "are missing in its configuration.");
    web_answer_end(answer);
    return false;
}

/* Connects, and begins a transaction in which no statement waits for longer than a person does. */
static enum result begin_in_time(struct install *install, struct err *err)
{
    enum result result = store_connect(install->store, true, err);

    return result == RESULT_OK ? store_begin(install->store, STATEMENT_MS, err) : result;
}

/* Gives the scopes that the enabled handlers need, and those of the setting extra_scopes. */
static enum result find_scopes(struct install *install, struct scopes *scopes, struct err *err)
{
    const struct conf *conf = install->conf;
    struct scopes_needed needed = {.rule = {conf->webhook_scope, conf->webhook_areas}};
    enum result result = begin_in_time(install, err);

    if (result == RESULT_OK)
        result = store_end(install->store, store_wanted(install->store, scopes_add_needed, &needed, err), err);
    *scopes = needed.scopes;
    scopes_add_words(scopes, conf->extra_scopes);
    return result;
}

/* Sends the admin to the platform. */
static enum result redirect_to_platform(struct install *install, const struct web_request *request,
                                        const struct scopes *scopes, struct web_answer *answer, struct err *err)
{
    char *state = digest_random_base64url(16), *verifier = digest_random_base64url(32);
    char *community = web_request_parameter(request, "community_id", COMMUNITY_BYTES);
    char *encoded = read_community(request),
         *text = memory_format("%s.%s.%s", state, verifier, strlen(encoded) <= KEPT_BYTES ? encoded : "");
    char *sealed = NULL, *url = NULL;
    const struct oauth_authorization authorization = {
        install->conf->client_id, install->conf->redirect_uri, community, scopes, state, verifier};
    enum result result = oauth_authorize_url(install->conf->authorize_url, &authorization, &url, err);

    if (result == RESULT_OK) {
        sealed = seal_close(install->key, PURPOSE, text, time(NULL) + BEGIN_SECONDS);
        answer->cookie = make_cookie(install->conf, state, sealed, BEGIN_SECONDS);
        web_answer_redirect(answer, url);
    }
    memory_free_secret(sealed);
    memory_free_secret(text);
    memory_free_secret(verifier);
    free(state);
    free(community);
    free(encoded);
    free(url);
    return result;
}

void install_begin(struct install *install, const struct web_request *request, struct web_answer *answer)
{
    struct scopes scopes = {0};
    struct err err;
    enum result result;

    if (!is_set_up(install, answer))
        return;
    result = find_scopes(install, &scopes, &err);
    if (result == RESULT_OK)
        result = redirect_to_platform(install, request, &scopes, answer, &err);
    if (result != RESULT_OK)
        answer_unavailable(request, answer, err.text);
    scopes_free(&scopes);
}

/* ---- the way back ---- */

/* What a callback brings, all of it checked. A text is NULL when it is not there. */
struct callback {
    char *sealed, *text; /* the cookie, and what it holds: STATE.VERIFIER.COMMUNITY, cut by match_state */
    char *state, *code, *error;
    const char *verifier,
        *community; /* of the cookie whose state it is; community: percent-encoded, "" when none was asked for */
};

/* Finds verifier and community when the cookie holds the state. */
static void match_state(struct callback *callback)
{
    char *community = callback->text;
    const char *state = strsep(&community, "."), *verifier = strsep(&community, ".");

    callback->community = "";
    if (community == NULL || !digest_equal(state, callback->state))
        return;
    callback->verifier = verifier;
    callback->community = community;
}

static struct callback read_callback(const struct install *install, const struct web_request *request)
{
    struct callback callback = {.state = web_request_parameter(request, "state", STATE_BYTES),
                                .code = web_request_parameter(request, "code", CODE_BYTES),
                                .error = web_request_parameter(request, "error", 64)};
    char *name = callback.state != NULL ? make_cookie_name(install->conf, callback.state) : NULL;

    if (name != NULL)
        callback.sealed = web_request_cookie(request, name);
    if (callback.sealed != NULL)
        callback.text = seal_open(install->key, PURPOSE, callback.sealed, time(NULL));
    match_state(&callback);
    free(name);
    return callback;
}

static void free_callback(struct callback *callback)
{
    memory_free_secret(callback->sealed);
    memory_free_secret(callback->text);
    memory_free_secret(callback->code);
    free(callback->state);
    free(callback->error);
}

/* Answers with a page of what went wrong, and the link for another try. */
static void answer_failure(const struct callback *callback, struct web_answer *answer, int status, const char *title,
                           const char *text)
{
    web_answer_begin(answer, status, title);
    web_answer_paragraph(answer, "%s", text);
    add_install_link(answer, callback->community, "Begin again");
    web_answer_end(answer);
}

static void answer_denied(const struct callback *callback, struct web_answer *answer)
{
    if (strcmp(callback->error, "access_denied") == 0) {
        log_info("install=denied");
        answer_failure(callback, answer, 403, "Not installed",
                       "You did not grant the App what it asked for, so nothing has changed.");
        return;
    }
    log_warning("install=refused error=%s", callback->error);
    answer_failure(
        callback, answer, 502, "The platform refused",
        "The platform did not take the App's request. If it happens again, tell whoever runs this App: its client "
        "id, its redirect URI or its scopes may not be those of the App's settings there.");
}

static void answer_outcome(const struct callback *callback, struct web_answer *answer, enum oauth_outcome outcome,
                           const char *reason)
{
    log_warning("install=failed reason=%s", reason);
    if (outcome == OAUTH_NO_ANSWER)
        answer_failure(
            callback, answer, 502, "The platform does not answer",
            "You granted what the App asked for, but the platform did not give it its token, so it is not installed. "
            "Begin again in a minute: no harm is done by installing twice.");
    else if (outcome == OAUTH_CODE_REFUSED)
        answer_failure(
            callback, answer, 400, "Too late, or used already",
            "The platform takes each code once, and for a short time only. The App is installed only if a page said "
            "\"Installed\". If none did, begin again.");
    else if (outcome == OAUTH_NO_BOT_TOKEN)
        answer_failure(
            callback, answer, 403, "No token for the App",
            "The platform gave the App no token of its own: no bot: scope was granted, or you are not an admin of "
            "the community. An admin must install it, and grant the scopes that begin with bot:.");
    else
        answer_failure(callback, answer, 502, "The platform refused",
                       "The platform did not give the App its token. Tell whoever runs this App: the log says why.");
}

/* Returns how many events wait for the token of a community; 0 also when that cannot be known. */
static int64_t count_held(struct install *install, const char *community)
{
    int64_t held = 0;
    struct err ignored;
    enum result result = begin_in_time(install, &ignored);

    if (result == RESULT_OK)
        result = store_end(install->store, store_held(install->store, community, &held, &ignored), &ignored);
    return result == RESULT_OK ? held : 0;
}

/*
 * Stores the token. A database that does not take it, for whatever reason, is asked again for a while: the token cannot
 * be had a second time, and a failover or an upgrade may be under way.
 */
static enum result store_tokens(struct install *install, const struct oauth_tokens *tokens, int64_t *held,
                                struct err *err)
{
    const struct store_new_token token = {
        .community = tokens->community,
        .token = tokens->bot_token,
        .scopes = tokens->scopes_known ? (const char *const *)tokens->scopes.names : NULL,
        .scope_count = tokens->scopes.count,
        .expires_ms = tokens->expires_in > 0 ? clock_real_ms() + tokens->expires_in * 1000 : 0,
        .how = "install"};
    int64_t until = clock_monotonic_ms() + STORE_MS;
    enum result result;

    while (true) {
        *held = count_held(install, tokens->community);
        result = begin_in_time(install, err);
        if (result == RESULT_OK)
            result = store_end(install->store, store_set_bot_token(install->store, &token, err), err);
        if (result == RESULT_OK || clock_monotonic_ms() >= until)
            return result;
        store_disconnect(install->store); /* of several hosts, another one may take it */
        nanosleep(&(struct timespec){.tv_nsec = STORE_AGAIN_MS * 1000000L}, NULL);
    }
}

static void answer_installed(const struct install *install, const struct callback *callback,
                             const struct oauth_tokens *tokens, int64_t held, struct web_answer *answer)
{
    log_info("install=done community=%s released=%ld", tokens->community, (long)held);
    answer->cookie = make_cookie(install->conf, callback->state, "", 0);
    web_answer_begin(answer, 200, "Installed");
    web_answer_paragraph(answer, "The App is installed on the community %s.", tokens->community);
    if (tokens->scopes_known) {
        web_answer_paragraph(answer, "It may use these scopes:");
        web_answer_list(answer, tokens->scopes.names, tokens->scopes.count);
    }
    if (held > 0)
        web_answer_paragraph(answer, "%ld event%s that waited for this can be handled now.", (long)held,
                             held == 1 ? "" : "s");
    web_answer_paragraph(answer,
                         "You can close this page. When the App asks for more some day, open its installation link "
                         "again; to take its rights away, remove it in the community's settings.");
    web_answer_end(answer);
}

/* Exchanges the code, and stores what comes of it. */
static void finish_installation(struct install *install, const struct callback *callback, struct web_answer *answer)
{
    const struct conf *conf = install->conf;
    const struct oauth_exchange exchange = {.token_url = conf->token_url,
                                            .client_id = conf->client_id,
                                            .client_secret = install->client_secret,
                                            .basic = conf->client_secret_basic,
                                            .redirect_uri = conf->redirect_uri,
                                            .code = callback->code,
                                            .verifier = callback->verifier};
    struct oauth_tokens tokens;
    struct err err;
    int64_t held = 0;
    enum oauth_outcome outcome = oauth_exchange(install->http, &exchange, &tokens, &err);

    if (outcome != OAUTH_TOKENS) {
        answer_outcome(callback, answer, outcome, err.text);
    } else if (store_tokens(install, &tokens, &held, &err) == RESULT_OK) {
        answer_installed(install, callback, &tokens, held, answer);
    } else {
        log_error("install=not_stored community=%s reason=%s", tokens.community, err.text);
        answer_failure(callback, answer, 503, "Not stored",
                       "You granted what the App asked for, but its database did not take the token. Begin again in a "
                       "minute: no harm is done by installing twice.");
    }
    oauth_tokens_free(&tokens);
}

/* Answers a callback whose state is that of the cookie. */
static void answer_matched(struct install *install, const struct callback *callback, struct web_answer *answer)
{
    if (callback->error != NULL)
        answer_denied(callback, answer);
    else if (callback->code == NULL)
        answer_failure(callback, answer, 400, "Begin again", "The platform sent no code. Nothing has changed.");
    else
        finish_installation(install, callback, answer);
}

void install_callback(struct install *install, const struct web_request *request, struct web_answer *answer)
{
    struct callback callback;

    if (!is_set_up(install, answer))
        return;
    callback = read_callback(install, request);
    if (callback.verifier == NULL)
        answer_failure(
            &callback, answer, 400, "Begin again",
            "This does not belong to an installation that this browser began less than ten minutes ago. Nothing has "
            "changed.");
    else
        answer_matched(install, &callback, answer);
    free_callback(&callback);
}
