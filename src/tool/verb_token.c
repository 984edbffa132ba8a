/*
 * SPDX-License-Identifier: ISC
 *
 * candhook token set: stores a community's bot token without it standing in psql's history, an argv, or the server's
 * log.
 */
#include <config.h>

#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

struct options {
    const char *action, *community;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

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

static const struct argp argp = {
    NULL,
    parse_option,
    "set COMMUNITY",
    "Stores the bot token of an origin community; the token is asked for, or read from the first line of stdin.\v"
    "Deliveries that were held for want of it are run at once. In psql, select candhook.set_bot_token(…) does the "
    "same, "
    "but psql's history and a server that logs statements may keep the token; this verb copies it in, and copied data "
    "is "
    "not logged.",
    NULL,
    NULL,
    NULL};

/* Switches the terminal's echo. Nothing happens when stdin is no terminal. */
static void echo(int on)
{
    struct termios terminal;

    if (tcgetattr(0, &terminal) != 0)
        return;
    terminal.c_lflag = on ? terminal.c_lflag | ECHO : terminal.c_lflag & ~(tcflag_t)ECHO;
    tcsetattr(0, TCSAFLUSH, &terminal);
}

/* Reads the token: the first line, without its end. NULL when there is none. */
static char *read_token(const char *community)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    sigset_t all, before;

    if (isatty(0)) {
        fprintf(stderr, "Bot token of %s: ", community);
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before); /* or Ctrl-C would leave the terminal without echo */
        echo(0);
    }
    length = getline(&line, &size, stdin);
    if (isatty(0)) {
        echo(1);
        fputc('\n', stderr);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = '\0';
    if (length > 0 && strlen(line) == (size_t)length)
        return line;
    free(line);
    return NULL;
}

int verb_token(int argc, char **argv)
{
    struct options options = {NULL, NULL};
    struct conf *conf;
    struct store *store;
    struct err err;
    enum result result;
    char *token;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], 1, &conf, &store);
    if (status != 0)
        return status;
    token = read_token(options.community);
    if (token == NULL) {
        fprintf(stderr, "%s: no token was given\n", argv[0]);
        status = EX_DATAERR;
    } else {
        result = store_set_bot_token(store, options.community, token, &err);
        status = result == RESULT_OK ? 0 : verb_fail(argv[0], result, &err);
    }
    if (status == 0)
        printf("the bot token of %s is stored\n", options.community);
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
    store_free(store);
    conf_free(conf);
    return status;
}
