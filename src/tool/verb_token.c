/*
 * SPDX-License-Identifier: ISC
 *
 * candhook token set: stores the bot token of a community. The token comes from a prompt or stdin, so that it is in no
 * argument, in no history of psql, and in no log of the server.
 */
#include <config.h>

#include "base/memory.h"
#include "tool/input.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct token_options {
    const char *action, *community;
};

static error_t parse_token_option(int key, char *text, struct argp_state *state)
{
    struct token_options *options = state->input;

    if (key == ARGP_KEY_ARG && options->action == NULL)
        options->action = text;
    else if (key == ARGP_KEY_ARG && options->community == NULL)
        options->community = text;
    else if (key == ARGP_KEY_END && (options->community == NULL || strcmp(options->action, "set") != 0))
        argp_usage(state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp token_argp = {
    .parser = parse_token_option,
    .args_doc = "set COMMUNITY",
    .doc = "Stores the bot token of an origin community. A terminal is asked for the token; else it is the first line "
           "of stdin.\v"
           "Deliveries that were held for want of the token run at once. In psql, select candhook.set_bot_token(...) "
           "does the same, but the history of psql, and a server that logs statements, keep the token in clear. This "
           "verb sends it by COPY, and copied data is not logged.\n"
           "Exit status: 0; 65 when no token was given; 70 when the database refuses it.",
};

/* Reads the token and stores it. Returns the exit status. */
static int set_token(const char *verb, struct store *store, const char *community)
{
    char *prompt = memory_format("Bot token of %s: ", community), *token = input_secret(prompt);
    int status = EX_DATAERR;
    struct err err;

    if (token == NULL) {
        fprintf(stderr, "%s: no token was given\n", verb);
    } else {
        enum result result = store_set_bot_token(store, community, token, &err);

        status = result == RESULT_OK ? EX_OK : verb_fail(verb, result, &err);
        explicit_bzero(token, strlen(token));
    }
    if (status == EX_OK)
        printf("the bot token of %s is stored\n", community);
    free(token);
    free(prompt);
    return status;
}

int verb_token(int argc, char **argv)
{
    struct token_options options = {0};
    struct conf *conf;
    struct store *store;
    int status;

    argp_parse(&token_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], true, &conf, &store);
    if (status != EX_OK)
        return status;
    status = set_token(argv[0], store, options.community);
    store_free(store);
    conf_free(conf);
    return status;
}
