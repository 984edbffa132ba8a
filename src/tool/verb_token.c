/*
 * SPDX-License-Identifier: ISC
 *
 * candhook token set: stores the bot token of a community. The token comes from a prompt or stdin, so that it is in no
 * argument, in no history of psql, and in no log of the server.
 */
#include <config.h>

#include "base/memory.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <bsd/readpassphrase.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define TYPED_BYTES 4096 /* the longest line of a terminal */

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

/* Asks for the token at the terminal, without echo. Ctrl-C ends the program, with the echo switched on again. */
static char *ask_token(const char *community)
{
    char *prompt = memory_format("Bot token of %s: ", community), *token = NULL;
    char typed[TYPED_BYTES];

    if (readpassphrase(prompt, typed, sizeof typed, RPP_ECHO_OFF) != NULL)
        token = memory_copy_text(typed);
    explicit_bzero(typed, sizeof typed);
    free(prompt);
    return token;
}

/* Returns the first line of stdin, allocated, without its end; NULL when there is none or it holds a NUL. */
static char *read_token(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length = getline(&line, &size, stdin);

    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = '\0';
    if (length > 0 && strlen(line) == (size_t)length)
        return line;
    free(line);
    return NULL;
}

static int store_token(const char *verb, struct store *store, const char *community, const char *token)
{
    struct err err;
    enum result result = store_set_bot_token(store, community, token, &err);

    if (result != RESULT_OK)
        return verb_fail(verb, result, &err);
    printf("the bot token of %s is stored\n", community);
    return EX_OK;
}

int verb_token(int argc, char **argv)
{
    struct token_options options = {0};
    struct conf *conf;
    struct store *store;
    char *token;
    int status;

    argp_parse(&token_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], true, &conf, &store);
    if (status != EX_OK)
        return status;
    token = isatty(STDIN_FILENO) ? ask_token(options.community) : read_token();
    if (token != NULL && *token != '\0') {
        status = store_token(argv[0], store, options.community, token);
        explicit_bzero(token, strlen(token));
    } else {
        fprintf(stderr, "%s: no token was given\n", argv[0]);
        status = EX_DATAERR;
    }
    free(token);
    store_free(store);
    conf_free(conf);
    return status;
}
