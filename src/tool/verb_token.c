/*
 * SPDX-License-Identifier: ISC
 *
 * candhook token: stores, lists, revokes and removes the bot tokens of communities. A token comes from a prompt or
 * stdin, so that it is in no argument, in no history of psql, and in no log of the server; nothing prints one.
 */
#include <config.h>

#include "base/memory.h"
#include "event/json_write.h"
#include "http/scopes.h"
#include "tool/input.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct token_action;

struct token_options {
    const struct token_action *action;
    const char *community; /* NULL: not given */
    struct scopes scopes;
    int64_t expires_ms; /* since 1970; 0: not given */
    bool json;
};

/* A word behind `candhook token`. RUN returns the exit status. */
struct token_action {
    const char *name;
    int (*run)(const char *verb, struct store *store, const struct token_options *options);
    bool needs_community, takes_community, is_set, is_list;
};

/* ---- set ---- */

/* Reads the token and stores it. */
static int set_token(const char *verb, struct store *store, const struct token_options *options)
{
    char *prompt = memory_format("Bot token of %s: ", options->community), *token = input_secret(prompt);
    struct store_new_token given = {.community = options->community,
                                    .token = token,
                                    .scopes = (const char *const *)options->scopes.names,
                                    .scope_count = options->scopes.count,
                                    .expires_ms = options->expires_ms,
                                    .how = "command"};
    int status = EX_DATAERR;
    struct err err;

    if (token == NULL) {
        fprintf(stderr, "%s: no token was given\n", verb);
    } else {
        enum result result = store_set_bot_token(store, &given, &err);

        status = result == RESULT_OK ? EX_OK : verb_fail(verb, result, &err);
        explicit_bzero(token, strlen(token));
    }
    if (status == EX_OK)
        printf("the bot token of %s is stored\n", options->community);
    free(token);
    free(prompt);
    return status;
}

/* ---- list, history ---- */

/* What list and history show, in order, by the names that JSON has. */
enum token_column {
    TOKEN_COMMUNITY,
    TOKEN_STATE,
    TOKEN_HOW,
    TOKEN_STORED_AT,
    TOKEN_STORED_BY,
    TOKEN_ENDED_AT,
    TOKEN_EXPIRES_AT,
    TOKEN_SCOPES,
    TOKEN_COLUMNS
};
static const struct {
    const char *title, *key;
    bool history_only;
} token_columns[TOKEN_COLUMNS] = {
    {"community", "community", false}, {"state", "state", false},  {"how", "how", false},
    {"stored", "stored_at", false},    {"by", "stored_by", true},  {"ended", "ended_at", true},
    {"expires", "expires_at", false},  {"scopes", "scopes", false}};

static const char *token_text(const struct store_token *token, size_t column)
{
    const char *const texts[TOKEN_COLUMNS] = {token->community, token->state,    token->how,        token->stored_at,
                                              token->stored_by, token->ended_at, token->expires_at, token->scopes};

    return texts[column];
}

/* Returns what a person sees in a cell. */
static const char *token_cell(const struct store_token *token, size_t column)
{
    const char *text = token_text(token, column);

    return text == NULL ? "-" : *text == '\0' ? "none" : text;
}

static void find_token_widths(const struct store_tokens *tokens, int widths[TOKEN_COLUMNS])
{
    for (size_t column = 0; column < TOKEN_COLUMNS; column++) {
        widths[column] = (int)strlen(token_columns[column].title);
        for (size_t i = 0; i < tokens->count; i++) {
            int width = (int)strlen(token_cell(&tokens->tokens[i], column));

            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
}

/* Prints a line of the table: TOKEN, or with NULL the titles. */
static void print_token(const struct store_token *token, const int widths[TOKEN_COLUMNS], bool history)
{
    for (size_t column = 0; column < TOKEN_SCOPES; column++)
        if (history || !token_columns[column].history_only)
            printf("%-*s  ", widths[column], token != NULL ? token_cell(token, column) : token_columns[column].title);
    puts(token != NULL ? token_cell(token, TOKEN_SCOPES) : token_columns[TOKEN_SCOPES].title);
}

static void print_token_table(const struct store_tokens *tokens, bool history)
{
    int widths[TOKEN_COLUMNS];

    if (tokens->count == 0) {
        puts(history ? "no bot token was stored" : "there is no bot token: candhook token set COMMUNITY stores one");
        return;
    }
    find_token_widths(tokens, widths);
    print_token(NULL, widths, history);
    for (size_t i = 0; i < tokens->count; i++)
        print_token(&tokens->tokens[i], widths, history);
}

/* Adds scopes, separated by blanks, as an array; null when they are unknown. */
static void write_token_scopes(struct json_writer *json, const char *scopes)
{
    if (scopes == NULL) {
        json_write_null(json, "scopes");
        return;
    }
    json_write_array(json, "scopes");
    for (const char *at = scopes; *at != '\0';) {
        size_t length = strcspn(at, " ");
        char *scope = memory_copy_bytes(at, length);

        json_write_text(json, NULL, scope);
        free(scope);
        at += length + (at[length] == ' ');
    }
    json_write_close(json);
}

static void print_token_json(const struct store_tokens *tokens, bool history)
{
    struct json_writer *json = json_write_new();
    char *text;

    json_write_array(json, "tokens");
    for (size_t i = 0; i < tokens->count; i++) {
        json_write_object(json, NULL);
        for (size_t column = 0; column < TOKEN_SCOPES; column++)
            if (history || !token_columns[column].history_only)
                json_write_text(json, token_columns[column].key, token_text(&tokens->tokens[i], column));
        write_token_scopes(json, tokens->tokens[i].scopes);
        json_write_close(json);
    }
    text = json_write_finish(json);
    puts(text);
    free(text);
}

static int show_tokens(const char *verb, enum result result, struct store_tokens *tokens, bool history, bool json,
                       const struct err *err)
{
    if (result != RESULT_OK)
        return verb_fail(verb, result, err);
    if (json)
        print_token_json(tokens, history);
    else
        print_token_table(tokens, history);
    store_free_tokens(tokens);
    return EX_OK;
}

static int list_tokens(const char *verb, struct store *store, const struct token_options *options)
{
    struct store_tokens tokens;
    struct err err;
    enum result result = store_token_list(store, &tokens, &err);

    return show_tokens(verb, result, &tokens, false, options->json, &err);
}

static int list_token_history(const char *verb, struct store *store, const struct token_options *options)
{
    struct store_tokens tokens;
    struct err err;
    enum result result = store_token_history(store, options->community, &tokens, &err);

    return show_tokens(verb, result, &tokens, true, options->json, &err);
}

/* ---- revoke, remove ---- */

static int revoke_token(const char *verb, struct store *store, const struct token_options *options)
{
    struct err err;
    bool done;
    enum result result = store_revoke_bot_token(store, options->community, &done, &err);

    if (result != RESULT_OK)
        return verb_fail(verb, result, &err);
    if (done)
        printf("the bot token of %s is revoked: what needs it is held until another one is stored\n",
               options->community);
    else
        fprintf(stderr, "%s: there is no valid bot token of %s\n", verb, options->community);
    return done ? EX_OK : EX_DATAERR;
}

static int remove_token(const char *verb, struct store *store, const struct token_options *options)
{
    struct err err;
    bool done;
    enum result result = store_remove_bot_token(store, options->community, &done, &err);

    if (result != RESULT_OK)
        return verb_fail(verb, result, &err);
    if (done)
        printf("the bot token of %s is removed\n", options->community);
    else
        fprintf(stderr, "%s: there is no bot token of %s\n", verb, options->community);
    return done ? EX_OK : EX_DATAERR;
}

/* ---- the command line ---- */

static const struct token_action token_actions[] = {
    {.name = "set", .run = set_token, .needs_community = true, .takes_community = true, .is_set = true},
    {.name = "list", .run = list_tokens, .is_list = true},
    {.name = "history", .run = list_token_history, .takes_community = true, .is_list = true},
    {.name = "revoke", .run = revoke_token, .needs_community = true, .takes_community = true},
    {.name = "remove", .run = remove_token, .needs_community = true, .takes_community = true},
};

static const struct argp_option token_option_table[] = {
    {.name = "scope", .key = 's', .arg = "SCOPE", .doc = "set: the token was granted this scope; may be repeated"},
    {.name = "expires",
     .key = 'e',
     .arg = "TIME",
     .doc = "set: when it expires, in UTC: 2027-01-31 or 2027-01-31T12:00:00Z"},
    {.name = "json", .key = 'j', .doc = "list, history: print JSON, one object"},
    {0},
};

static const struct token_action *find_token_action(const char *name)
{
    for (size_t i = 0; i < sizeof token_actions / sizeof *token_actions; i++)
        if (strcmp(token_actions[i].name, name) == 0)
            return &token_actions[i];
    return NULL;
}

/* Returns the milliseconds from 1970 to TEXT, a day or a time in UTC; 0 when it is neither, as is the 30th of February.
 */
static int64_t parse_token_expiry(const char *text)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        int day = tm.tm_mday;
        time_t seconds = timegm(&tm); /* which makes the 1st of March of it */

        if (end != NULL && *end == '\0' && tm.tm_mday == day)
            return (int64_t)seconds * 1000;
    }
    return 0;
}

static void check_token_options(const struct token_options *options, struct argp_state *state)
{
    const struct token_action *action = options->action;

    if (action == NULL || (action->needs_community && options->community == NULL))
        argp_usage(state); /* which does not return */
    else if (!action->is_set && (options->scopes.count > 0 || options->expires_ms != 0))
        argp_error(state, "--scope and --expires are options of set");
    else if (!action->is_list && options->json)
        argp_error(state, "--json is an option of list and history");
}

static error_t parse_token_option(int key, char *text, struct argp_state *state)
{
    struct token_options *options = state->input;

    if (key == 's' && !scopes_add(&options->scopes, text))
        argp_error(state, "a scope is one or more printable characters without blanks, quotes and backslashes");
    else if (key == 'e' && (options->expires_ms = parse_token_expiry(text)) == 0)
        argp_error(state, "a time is given as 2027-01-31 or 2027-01-31T12:00:00Z");
    else if (key == 'j')
        options->json = true;
    else if (key == ARGP_KEY_ARG && options->action == NULL && find_token_action(text) != NULL)
        options->action = find_token_action(text);
    else if (key == ARGP_KEY_ARG && options->action != NULL && options->action->takes_community &&
             options->community == NULL)
        options->community = text;
    else if (key == ARGP_KEY_ARG)
        argp_usage(state);
    else if (key == ARGP_KEY_END)
        check_token_options(options, state);
    else if (key != 's' && key != 'e')
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp token_argp = {
    .options = token_option_table,
    .parser = parse_token_option,
    .args_doc = "set COMMUNITY [--scope SCOPE]... [--expires TIME]\nlist [--json]\nhistory [COMMUNITY] "
                "[--json]\nrevoke COMMUNITY\nremove COMMUNITY",
    .doc = "Stores, lists, revokes and removes the bot tokens of origin communities. Nothing shows a token.\v"
           "set asks a terminal for the token; else it is the first line of stdin. It replaces the one before, and "
           "deliveries that were held for want of it run at once. In psql, select candhook.set_bot_token(...) "
           "does the same, but the history of psql, and a server that logs statements, keep the token in clear. This "
           "verb sends it by COPY, and copied data is not logged.\n"
           "list shows each community that has a token; history shows all that were stored, and how they ended. revoke "
           "makes a token invalid: what needs it is held until another one is stored. remove deletes it; the history "
           "stays. Neither tells the platform.\n"
           "Exit status: 0; 65 when no token was given, or there is none to revoke or remove; 70 when the database "
           "refuses it.",
};

int verb_token(int argc, char **argv)
{
    struct token_options options = {0};
    struct conf *conf;
    struct store *store;
    int status;

    argp_parse(&token_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_store(argv[0], true, &conf, &store);
    if (status == EX_OK) {
        status = options.action->run(argv[0], store, &options);
        store_free(store);
        conf_free(conf);
    }
    scopes_free(&options.scopes);
    return status;
}
