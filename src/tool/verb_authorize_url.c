/*
 * SPDX-License-Identifier: ISC
 *
 * candhook authorize-url: the URL at which a community's admin authorizes the App (OAuth2, with PKCE).
 */
#include <config.h>

#include "base/digest.h"
#include "event/json_write.h"
#include "http/http.h"
#include "http/scopes.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = 256 };

struct options {
    const char *client_id, *redirect_uri, *community;
    struct scopes scopes;
    int json;
};

static const struct argp_option option_table[] = {
    {"client-id", 'c', "ID", 0, "The App's client id", 0},
    {"redirect-uri", 'r', "URI", 0, "Where the code is sent; it must be listed in the App's settings", 0},
    {"scope", 's', "SCOPE", 0, "Ask for this one, too: bot:MOIM:product:read; may be repeated", 0},
    {"community", 'g', "ID", 0, "The community that is asked", 0},
    {"json", OPTION_JSON, NULL, 0, "Print one JSON object with url, state and code_verifier", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 'c')
        options->client_id = text;
    else if (key == 'r')
        options->redirect_uri = text;
    else if (key == 'g')
        options->community = text;
    else if (key == 's' && scopes_add(&options->scopes, text) != 0)
        argp_error(state, "%s is no scope; repeat --scope for each", text);
    else if (key == 's')
        return 0;
    else if (key == OPTION_JSON)
        options->json = 1;
    else if (key == ARGP_KEY_END && (options->client_id == NULL || options->redirect_uri == NULL))
        argp_error(state, "--client-id and --redirect-uri are needed");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Prints the URL at which an admin authorizes the App for a community: with the webhook: scopes that the enabled "
    "handlers need, as candhook scopes prints them, and those of --scope.\v"
    "state and code_verifier, which are new each time, are printed on stderr: keep them. The answer is sent to the "
    "redirect URI; its state must be the one printed here, and its code is exchanged for tokens with the "
    "code_verifier.",
    NULL,
    NULL,
    NULL};

static void add_parameter(FILE *to, const char *name, const char *value)
{
    char *escaped = http_escape(value);

    fprintf(to, "%s=%s", name, escaped);
    free(escaped);
}

/* Separated by blanks, percent-encoded. */
static void add_scopes(FILE *to, const struct scopes *scopes)
{
    for (size_t i = 0; i < scopes->count; i++) {
        char *escaped = http_escape(scopes->names[i]);

        fprintf(to, "%s%s", i == 0 ? "&scope=" : "%20", escaped);
        free(escaped);
    }
}

/* The URL, allocated. */
static char *make_url(const char *base, const struct options *options, const char *state, const char *verifier)
{
    char *url, *challenge = digest_sha256_base64url(verifier, strlen(verifier));
    size_t size;
    FILE *to = open_memstream(&url, &size);

    if (to == NULL)
        abort();
    fprintf(to, "%s?response_type=code", base);
    add_parameter(to, "&client_id", options->client_id);
    add_parameter(to, "&redirect_uri", options->redirect_uri);
    add_scopes(to, &options->scopes);
    add_parameter(to, "&state", state);
    add_parameter(to, "&code_challenge", challenge);
    fputs("&code_challenge_method=S256", to);
    if (options->community != NULL)
        add_parameter(to, "&community_id", options->community);
    if (fclose(to) != 0)
        abort();
    free(challenge);
    return url;
}

static void print_json(const char *url, const char *state, const char *verifier)
{
    struct json_writer *writer = json_write_new();
    char *json;

    json_write_text(writer, "url", url);
    json_write_text(writer, "state", state);
    json_write_text(writer, "code_verifier", verifier);
    json = json_write_finish(writer);
    puts(json);
    explicit_bzero(json, strlen(json));
    free(json);
}

static void print_request(const char *base, const struct options *options)
{
    char *state = digest_random_base64url(16), *verifier = digest_random_base64url(32);
    char *url = make_url(base, options, state, verifier);

    if (options->json) {
        print_json(url, state, verifier);
    } else {
        puts(url);
        fprintf(stderr, "state=%s\ncode_verifier=%s\n", state, verifier);
    }
    explicit_bzero(verifier, strlen(verifier));
    free(verifier);
    free(state);
    free(url);
}

int verb_authorize_url(int argc, char **argv)
{
    struct options options = {0};
    struct conf *conf;
    struct store *store;
    struct err err;
    enum result result;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], 1, &conf, &store);
    if (status != 0)
        return status;
    result = scopes_wanted(&options.scopes, store, conf->webhook_scope, argv[0], &err);
    if (result != RESULT_OK)
        status = verb_fail(argv[0], result, &err);
    else
        print_request(conf->authorize_url, &options);
    scopes_free(&options.scopes);
    store_free(store);
    conf_free(conf);
    return status;
}
