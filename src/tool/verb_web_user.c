/*
 * SPDX-License-Identifier: ISC
 *
 * candhook web-user: adds, lists and removes the users of the console. A password comes from a prompt or stdin, so that
 * it is in no argument; nothing prints one or its hash.
 */
#include <config.h>

#include "base/memory.h"
#include "conf/web_users.h"
#include "event/json_write.h"
#include "tool/input.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define REPLACE_KEY 256 /* an option without a letter */

struct web_user_action;

struct web_user_options {
    const struct web_user_action *action;
    const char *name; /* NULL: not given */
    bool read_only, replace, json;
};

/* A word behind `candhook web-user`. RUN returns the exit status. */
struct web_user_action {
    const char *name;
    int (*run)(const char *verb, const struct conf *conf, const struct web_user_options *options);
    bool needs_name, is_add, is_list;
};

/* ---- add ---- */

/* Returns what is wrong with a password that was given, or NULL. */
static const char *find_password_fault(const char *password)
{
    const char *fault = NULL;
    char *again;

    if (password == NULL)
        return "no password was given";
    if (!web_users_is_password(password))
        return "a password has 10 to 255 bytes and no control characters";
    if (!isatty(STDIN_FILENO))
        return NULL;
    again = input_secret("The same again: ");
    if (again == NULL || strcmp(again, password) != 0)
        fault = "the two passwords differ";
    memory_free_secret(again);
    return fault;
}

/* Returns the password, allocated; NULL when there is none, and it was said why. */
static char *read_password(const char *verb, const char *name)
{
    char *prompt = memory_format("Password of %s: ", name), *password = input_secret(prompt);
    const char *fault = find_password_fault(password);

    free(prompt);
    if (fault == NULL)
        return password;
    fprintf(stderr, "%s: %s\n", verb, fault);
    memory_free_secret(password);
    return NULL;
}

static int add_web_user(const char *verb, const struct conf *conf, const struct web_user_options *options)
{
    struct web_user_new user = {.name = options->name, .read_only = options->read_only, .replace = options->replace};
    enum result result = RESULT_OK;
    struct err err;
    char *password;

    if (!options->replace)
        result = web_users_check_new(conf->web_users, options->name, &err);
    if (result != RESULT_OK)
        return verb_fail_file(verb, result, &err);
    user.password = password = read_password(verb, options->name);
    if (password == NULL)
        return EX_DATAERR;
    result = web_users_add(conf->web_users, verb_file_owner(conf), &user, &err);
    memory_free_secret(password);
    if (result != RESULT_OK)
        return verb_fail_file(verb, result, &err);
    printf("the user %s may log in to the console%s\n", options->name, options->read_only ? ", and only read" : "");
    return EX_OK;
}

/* ---- list ---- */

static const char *web_user_right(const struct web_user *user)
{
    return user->read_only ? "read-only" : "full";
}

static void print_web_user_table(const struct web_users *users)
{
    int width = (int)strlen("name");

    if (web_users_count(users) == 0) {
        puts("there is no user: candhook web-user add NAME adds one");
        return;
    }
    for (size_t i = 0; i < web_users_count(users); i++) {
        int length = (int)strlen(web_users_get(users, i)->name);

        width = length > width ? length : width;
    }
    printf("%-*s  right\n", width, "name");
    for (size_t i = 0; i < web_users_count(users); i++)
        printf("%-*s  %s\n", width, web_users_get(users, i)->name, web_user_right(web_users_get(users, i)));
}

static void print_web_user_json(const struct web_users *users)
{
    struct json_writer *json = json_write_new();
    char *text;

    json_write_array(json, "users");
    for (size_t i = 0; i < web_users_count(users); i++) {
        json_write_object(json, NULL);
        json_write_text(json, "name", web_users_get(users, i)->name);
        json_write_text(json, "right", web_user_right(web_users_get(users, i)));
        json_write_close(json);
    }
    text = json_write_finish(json);
    puts(text);
    free(text);
}

static int list_web_users(const char *verb, const struct conf *conf, const struct web_user_options *options)
{
    struct web_users *users;
    struct err err;
    enum result result = web_users_load(&users, conf->web_users, &err);

    if (result != RESULT_OK)
        return verb_fail_file(verb, result, &err);
    if (options->json)
        print_web_user_json(users);
    else
        print_web_user_table(users);
    web_users_free(users);
    return EX_OK;
}

/* ---- remove ---- */

static int remove_web_user(const char *verb, const struct conf *conf, const struct web_user_options *options)
{
    struct err err;
    enum result result = web_users_remove(conf->web_users, options->name, &err);

    if (result != RESULT_OK)
        return verb_fail_file(verb, result, &err);
    printf("the user %s may no longer log in to the console\n", options->name);
    return EX_OK;
}

/* ---- the command line ---- */

static const struct web_user_action web_user_actions[] = {
    {.name = "add", .run = add_web_user, .needs_name = true, .is_add = true},
    {.name = "list", .run = list_web_users, .is_list = true},
    {.name = "remove", .run = remove_web_user, .needs_name = true},
};

static const struct argp_option web_user_option_table[] = {
    {.name = "read-only", .key = 'r', .doc = "add: the user may look at everything, and change nothing"},
    {.name = "replace",
     .key = REPLACE_KEY,
     .doc = "add: if there is the user already, give it this password and this right"},
    {.name = "json", .key = 'j', .doc = "list: print JSON, one object"},
    {0},
};

static const struct web_user_action *find_web_user_action(const char *name)
{
    for (size_t i = 0; i < sizeof web_user_actions / sizeof *web_user_actions; i++)
        if (strcmp(web_user_actions[i].name, name) == 0)
            return &web_user_actions[i];
    return NULL;
}

static void check_web_user_options(const struct web_user_options *options, struct argp_state *state)
{
    const struct web_user_action *action = options->action;

    if (action == NULL || action->needs_name != (options->name != NULL))
        argp_usage(state); /* which does not return */
    else if (!action->is_add && (options->read_only || options->replace))
        argp_error(state, "--read-only and --replace are options of add");
    else if (!action->is_list && options->json)
        argp_error(state, "--json is an option of list");
    else if (action->needs_name && !web_users_is_name(options->name))
        argp_error(state, "a name has 1 to 64 characters of A-Z a-z 0-9 . _ @ -, and begins with no dash");
}

static error_t parse_web_user_option(int key, char *text, struct argp_state *state)
{
    struct web_user_options *options = state->input;

    if (key == 'r')
        options->read_only = true;
    else if (key == REPLACE_KEY)
        options->replace = true;
    else if (key == 'j')
        options->json = true;
    else if (key == ARGP_KEY_ARG && options->action == NULL && find_web_user_action(text) != NULL)
        options->action = find_web_user_action(text);
    else if (key == ARGP_KEY_ARG && options->action != NULL && options->name == NULL)
        options->name = text;
    else if (key == ARGP_KEY_ARG)
        argp_usage(state);
    else if (key == ARGP_KEY_END)
        check_web_user_options(options, state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp web_user_argp = {
    .options = web_user_option_table,
    .parser = parse_web_user_option,
    .args_doc = "add NAME [--read-only] [--replace]\nlist [--json]\nremove NAME",
    .doc = "Adds, lists and removes the users who may log in to the console. Nothing shows a password.\v"
           "add asks a terminal for the password, twice; else it is the first line of stdin. It has 10 to 255 bytes. A "
           "user may look at everything and act; with --read-only, look at everything. Another password or right, and "
           "remove, end the sessions of the user. The file is the setting web_users.\n"
           "Exit status: 0; 65 when the file of users or the request is wrong; 75 when another process is changing the "
           "file.",
};

int verb_web_user(int argc, char **argv)
{
    struct web_user_options options = {0};
    struct conf *conf;
    int status;

    argp_parse(&web_user_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_conf(argv[0], &conf);
    if (status != EX_OK)
        return status;
    status = options.action->run(argv[0], conf, &options);
    conf_free(conf);
    return status;
}
