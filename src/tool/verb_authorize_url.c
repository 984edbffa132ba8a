/*
 * SPDX-License-Identifier: ISC
 *
 * candhook authorize-url: the URL at which a community's admin authorizes the App (OAuth2, with PKCE).
 */
#include <config.h>

#include "base/digest.h"
#include "base/memory.h"
#include "event/json_write.h"
#include "http/oauth.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"
#include "tool/verb_scopes.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = 256 };

struct authorize_options {
    const char *client_id, *redirect_uri, *community;
    struct scopes scopes;
    bool json;
};

static const struct argp_option authorize_option_table[] = {
    {.name = "client-id", .key = 'c', .arg = "ID", .doc = "The App's client id"},
    {.name = "redirect-uri",
     .key = 'r',
     .arg = "URI",
     .doc = "Where the code is sent; it must be listed in the App's settings"},
    {.name = "scope",
     .key = 's',
     .arg = "SCOPE",
     .doc = "Ask for this one, too: bot:MOIM:product:read; may be repeated"},
    {.name = "community", .key = 'g', .arg = "ID", .doc = "The community that is asked"},
    {.name = "json", .key = OPTION_JSON, .doc = "Print one JSON object with url, state and code_verifier"},
    {0},
};

static error_t parse_authorize_option(int key, char *text, struct argp_state *state)
{
    struct authorize_options *options = state->input;

    if (key == 'c')
        options->client_id = text;
    else if (key == 'r')
        options->redirect_uri = text;
    else if (key == 'g')
        options->community = text;
    else if (key == 's' && !scopes_add(&options->scopes, text))
        argp_error(state, "%s is no scope; repeat --scope for each", text);
    else if (key == 's')
        return 0;
    else if (key == OPTION_JSON)
        options->json = true;
    else if (key == ARGP_KEY_END && (options->client_id == NULL || options->redirect_uri == NULL))
        argp_error(state, "--client-id and --redirect-uri are needed");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp authorize_argp = {
    .options = authorize_option_table,
    .parser = parse_authorize_option,
    .doc =
        "Prints the URL at which an admin authorizes the App for a community: with the webhook: scopes that the "
        "enabled handlers need, as candhook scopes prints them, and those of --scope.\v"
        "state and code_verifier, which are new each time, are printed on stderr: keep them. The answer is sent to the "
        "redirect URI; its state must be the one printed here, and its code is exchanged for tokens with the "
        "code_verifier.",
};

static void print_authorize_json(const char *url, const char *state, const char *verifier)
{
    struct json_writer *writer = json_write_new();
    char *json;

    json_write_text(writer, "url", url);
    json_write_text(writer, "state", state);
    json_write_text(writer, "code_verifier", verifier);
    json = json_write_finish(writer);
    puts(json);
    memory_free_secret(json);
}

/* Returns the exit status. */
static int print_authorize_url(const char *verb, const char *base, const struct authorize_options *options)
{
    char *state = digest_random_base64url(16), *verifier = digest_random_base64url(32), *url = NULL;
    struct err err;
    const struct oauth_authorization authorization = {.client_id = options->client_id,
                                                      .redirect_uri = options->redirect_uri,
                                                      .community = options->community,
                                                      .scopes = &options->scopes,
                                                      .state = state,
                                                      .verifier = verifier};
    enum result result = oauth_authorize_url(base, &authorization, &url, &err);
    int status = 0;

    if (result != RESULT_OK) {
        status = verb_fail(verb, result, &err);
    } else if (options->json) {
        print_authorize_json(url, state, verifier);
    } else {
        puts(url);
        fprintf(stderr, "state=%s\ncode_verifier=%s\n", state, verifier);
    }
    memory_free_secret(verifier);
    free(state);
    free(url);
    return status;
}

int verb_authorize_url(int argc, char **argv)
{
    struct authorize_options options = {0};
    struct conf *conf;
    struct store *store;
    int status;

    argp_parse(&authorize_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], true, &conf, &store);
    if (status != 0)
        return status;
    status = verb_scopes_add(argv[0], conf, store, &options.scopes);
    if (status == 0)
        status = print_authorize_url(argv[0], conf->authorize_url, &options);
    scopes_free(&options.scopes);
    store_free(store);
    conf_free(conf);
    return status;
}
