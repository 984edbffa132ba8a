/*
 * SPDX-License-Identifier: ISC
 *
 * OAuth2. The answer to an exchange is hostile, too: its size, its types and each text are judged before they are used.
 */
#include <config.h>

#include "http/oauth.h"

#include "base/digest.h"
#include "base/memory.h"
#include "http/url.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES (64 * 1024)
#define TIMEOUT_MS 10000
#define COMMUNITY_BYTES 255
#define CALLBACK "/callback" /* the end of a redirect URI */
#define TOKEN_BYTES 4096
#define LONGEST_LIFE (INT64_C(100) * 365 * 86400) /* seconds */

/* ---- what is set ---- */

char *oauth_install_url(const char *redirect_uri)
{
    size_t length = strlen(redirect_uri), end = strlen(CALLBACK);

    if (length <= end || strcmp(redirect_uri + length - end, CALLBACK) != 0)
        return NULL;
    return memory_format("%.*s/install", (int)(length - end), redirect_uri);
}

/* ---- the URL ---- */

enum result oauth_authorize_url(const char *base, const struct oauth_authorization *authorization, char **url,
                                struct err *err)
{
    char *challenge = digest_sha256_base64url(authorization->verifier, strlen(authorization->verifier));
    char *scope = scopes_join(authorization->scopes);
    const struct url_parameter parameters[] = {
        {"response_type", "code"},
        {"client_id", authorization->client_id},
        {"redirect_uri", authorization->redirect_uri},
        {"scope", scope},
        {"state", authorization->state},
        {"code_challenge", challenge},
        {"code_challenge_method", "S256"},
        {"community_id", authorization->community},
    };
    enum result result = url_add_query(base, parameters, sizeof parameters / sizeof *parameters, url, err);

    free(scope);
    free(challenge);
    return result;
}

/* ---- the request ---- */

static char *make_form(const struct oauth_exchange *exchange)
{
    const struct url_parameter parameters[] = {
        {"grant_type", "authorization_code"},
        {"client_id", exchange->client_id},
        {"client_secret", exchange->basic ? NULL : exchange->client_secret},
        {"code", exchange->code},
        {"code_verifier", exchange->verifier},
        {"redirect_uri", exchange->redirect_uri},
    };

    return url_form(parameters, sizeof parameters / sizeof *parameters);
}

/* The header of HTTP Basic, allocated: id and secret are form-encoded first (RFC 6749, section 2.3.1). NULL: none. */
static char *make_basic(const struct oauth_exchange *exchange)
{
    char *id, *secret, *pair, *encoded, *header;

    if (!exchange->basic || exchange->client_secret == NULL)
        return NULL;
    id = url_encode(exchange->client_id);
    secret = url_encode(exchange->client_secret);
    pair = memory_format("%s:%s", id, secret);
    encoded = digest_base64(pair, strlen(pair));
    header = memory_format("Authorization: Basic %s", encoded);
    memory_free_secret(secret);
    memory_free_secret(pair);
    memory_free_secret(encoded);
    free(id);
    return header;
}

static enum result send_exchange(struct http *http, const struct oauth_exchange *exchange, struct http_answer *answer,
                                 struct err *err)
{
    char *form = make_form(exchange), *basic = make_basic(exchange);
    const struct http_request request = {
        .method = "POST",
        .url = exchange->token_url,
        .headers = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json", basic},
        .body = form,
        .body_length = strlen(form),
        .timeout_ms = TIMEOUT_MS,
        .answer_bytes = ANSWER_BYTES,
    };
    enum result result = http_send(http, &request, answer, err);

    memory_free_secret(form);
    memory_free_secret(basic);
    return result;
}

/* ---- the answer ---- */

/* Returns the text of a member that is a string of 1 to MAX graphic ASCII characters; NULL when it is anything else. */
static const char *graphic_member(const cJSON *object, const char *name, size_t max)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    size_t length = 0;

    while (text != NULL && text[length] > ' ' && text[length] < 0x7f)
        length++;
    return text != NULL && length > 0 && length <= max && text[length] == '\0' ? text : NULL;
}

/* Takes the granted scopes, a text with blanks between them (RFC 6749, section 5.1). */
static void read_granted_scopes(const cJSON *object, struct oauth_tokens *tokens)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "scope"));

    tokens->scopes_known = text != NULL && scopes_add_words(&tokens->scopes, text);
}

static int64_t read_life(const cJSON *object)
{
    const cJSON *life = cJSON_GetObjectItemCaseSensitive(object, "bot_expires_in");

    return cJSON_IsNumber(life) && life->valuedouble >= 1 && life->valuedouble <= (double)LONGEST_LIFE
               ? (int64_t)life->valuedouble
               : 0;
}

static enum oauth_outcome read_tokens(const cJSON *object, struct oauth_tokens *tokens, struct err *err)
{
    const char *community = graphic_member(object, "community_id", COMMUNITY_BYTES);
    const char *token = graphic_member(object, "bot_access_token", TOKEN_BYTES);

    read_granted_scopes(object, tokens);
    if (!cJSON_HasObjectItem(object, "bot_access_token")) {
        err_set(err, "the platform's answer has no bot_access_token");
        return OAUTH_NO_BOT_TOKEN;
    }
    if (community == NULL || token == NULL) {
        err_set(err, "the platform's answer has no proper %s", token == NULL ? "bot_access_token" : "community_id");
        return OAUTH_INVALID_ANSWER;
    }
    tokens->community = memory_copy_text(community);
    tokens->bot_token = memory_copy_text(token);
    tokens->expires_in = read_life(object);
    return OAUTH_TOKENS;
}

/* Returns what an answer other than 200 means: RFC 6749, section 5.2. */
static enum oauth_outcome judge_refusal(int status, const cJSON *object, struct err *err)
{
    const char *code = graphic_member(object, "error", 64);

    err_set(err, "the platform answered %d%s%s", status, code != NULL ? " " : "", code != NULL ? code : "");
    if (status >= 500 || status == 429)
        return OAUTH_NO_ANSWER;
    if (code != NULL && strcmp(code, "invalid_grant") == 0)
        return OAUTH_CODE_REFUSED;
    return status == 400 || status == 401 || status == 403 ? OAUTH_CLIENT_REFUSED : OAUTH_INVALID_ANSWER;
}

static enum oauth_outcome read_token_answer(const struct http_answer *answer, struct oauth_tokens *tokens,
                                            struct err *err)
{
    cJSON *object = answer->cut ? NULL : cJSON_ParseWithLength(answer->body, answer->body_length);
    enum oauth_outcome outcome;

    if (answer->status != 200) {
        outcome = judge_refusal(answer->status, object, err);
    } else if (!cJSON_IsObject(object)) {
        err_set(err, "the platform's answer is %s", answer->cut ? "too long" : "no JSON object");
        outcome = OAUTH_INVALID_ANSWER;
    } else {
        outcome = read_tokens(object, tokens, err);
    }
    cJSON_Delete(object);
    return outcome;
}

enum oauth_outcome oauth_exchange(struct http *http, const struct oauth_exchange *exchange, struct oauth_tokens *tokens,
                                  struct err *err)
{
    struct http_answer answer;
    enum oauth_outcome outcome;
    enum result result = send_exchange(http, exchange, &answer, err);

    *tokens = (struct oauth_tokens){0};
    if (result != RESULT_OK)
        return result == RESULT_RETRY ? OAUTH_NO_ANSWER : OAUTH_CLIENT_REFUSED;
    outcome = read_token_answer(&answer, tokens, err);
    explicit_bzero(answer.body, answer.body_length);
    http_answer_free(&answer);
    return outcome;
}

void oauth_tokens_free(struct oauth_tokens *tokens)
{
    memory_free_secret(tokens->bot_token);
    free(tokens->community);
    scopes_free(&tokens->scopes);
}
