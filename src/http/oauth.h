/*
 * SPDX-License-Identifier: ISC
 *
 * OAuth2 of the platform (CANpass), authorization code with PKCE (RFC 6749, RFC 7636): the URL at which an admin
 * authorizes the App for a community, and the exchange of the code for tokens. Where the answer has
 * community_id and bot_access_token, that is the community's bot token (the platform's example App).
 */
#ifndef CANDHOOK_OAUTH_H
#define CANDHOOK_OAUTH_H

#include "base/err.h"
#include "http/http.h"
#include "http/scopes.h"

#include <stdbool.h>
#include <stdint.h>

/* Returns the URL at which communities install the App, made of that of the callback, allocated; NULL when there is
 * none. */
char *oauth_install_url(const char *redirect_uri);

struct oauth_authorization {
    const char *client_id, *redirect_uri;
    const char *community; /* the one that is asked; NULL: whichever the admin chooses */
    const struct scopes *scopes;
    const char *state, *verifier;
};

/* *URL is BASE with the query that asks for this, allocated. RESULT_FAIL when BASE is no URL. */
MUST_CHECK enum result oauth_authorize_url(const char *base, const struct oauth_authorization *authorization,
                                           char **url, struct err *err);

struct oauth_exchange {
    const char *token_url, *client_id;
    const char *client_secret; /* NULL: a public client */
    bool basic;                /* the secret is sent by HTTP Basic, and not in the form */
    const char *redirect_uri, *code, *verifier;
};

/* What came of an exchange. */
enum oauth_outcome {
    OAUTH_TOKENS,
    OAUTH_NO_ANSWER,      /* none came, or it says that the server is in trouble: the code may still be good */
    OAUTH_CODE_REFUSED,   /* expired, used, or not of this client */
    OAUTH_CLIENT_REFUSED, /* client id, secret or redirect URI are wrong */
    OAUTH_NO_BOT_TOKEN,   /* tokens, but none for the App itself: no bot: scope was granted */
    OAUTH_INVALID_ANSWER
};

struct oauth_tokens {
    char *community, *bot_token;
    struct scopes scopes; /* that were granted */
    bool scopes_known;
    int64_t expires_in; /* seconds until the bot token ends (the member bot_expires_in); 0: the answer does not say */
};

/*
 * Exchanges the code. TOKENS are to be freed by oauth_tokens_free in any case. Else than for OAUTH_TOKENS, ERR says
 * what was wrong; it holds nothing of the code, the secret or a token.
 */
MUST_CHECK enum oauth_outcome oauth_exchange(struct http *http, const struct oauth_exchange *exchange,
                                             struct oauth_tokens *tokens, struct err *err);
void oauth_tokens_free(struct oauth_tokens *tokens);

#endif
