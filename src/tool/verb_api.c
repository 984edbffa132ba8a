/*
 * SPDX-License-Identifier: ISC
 *
 * candhook api: one call of the canD API with the bot token of a community. The token comes from the database. It is in
 * no argument, no environment and no output.
 */
#include <config.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/printable.h"
#include "http/api.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define TIMEOUT_MS 30000L
#define DATA_MAX_BYTES (64 * 1024 * 1024)

struct api_options {
    const char *method, *path, *community, *profile, *data;
    bool include;
};

static const struct argp_option api_option_table[] = {
    {"community", 'c', "ID", 0, "The community: its bot token, and x-can-community-id ($CANDHOOK_ORIGIN_COMMUNITY_ID)",
     0},
    {.name = "profile", .key = 'p', .arg = "ID", .doc = "Send x-can-profile-id"},
    {.name = "data", .key = 'd', .arg = "JSON", .doc = "Send this body; - is stdin, @FILE a file"},
    {.name = "include", .key = 'i', .doc = "Print the answer's status on stderr, also when it is 2xx"},
    {0},
};

static error_t parse_api_option(int key, char *text, struct argp_state *state)
{
    struct api_options *options = state->input;

    if (key == 'c')
        options->community = text;
    else if (key == 'p')
        options->profile = text;
    else if (key == 'd')
        options->data = text;
    else if (key == 'i')
        options->include = true;
    else if (key == ARGP_KEY_ARG && options->method == NULL)
        options->method = text;
    else if (key == ARGP_KEY_ARG && options->path == NULL)
        options->path = text;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "METHOD and PATH are enough; a body goes into --data");
    else if (key == ARGP_KEY_END && options->path == NULL)
        argp_usage(state);
    else if (key == ARGP_KEY_END && (options->community == NULL || *options->community == '\0'))
        argp_error(state, "whose bot token? Give --community ID");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp api_argp = {
    .options = api_option_table,
    .parser = parse_api_option,
    .args_doc = "METHOD PATH",
    .doc = "Calls the canD API with the bot token of a community, and prints the answer's body.\v"
           "For instance: candhook api GET /products/CP:AK290DKFJD --community G00O7NKV9M\n"
           "The token comes from the database and is shown nowhere. A handler of kind exec need not give --community.\n"
           "Exit status: 0 when the answer is 2xx; 1 when it is not, and the status is printed on stderr; 65 when the "
           "community has no valid bot token; 69 when there was no answer, or no database; 64 for wrong usage. An "
           "answer of 401 marks the token as invalid.",
};

/* *BODY is the body that --data means, allocated: its text, stdin or a file; NULL without --data. */
static enum result read_data(const char *data, char **body, struct err *err)
{
    enum result result;
    size_t length;

    if (data == NULL || (*data != '@' && strcmp(data, "-") != 0)) {
        *body = memory_copy_text(data);
        return RESULT_OK;
    }
    result = io_read_file(*data == '@' ? data + 1 : data, DATA_MAX_BYTES, body, &length, err);
    if (result == RESULT_OK && strlen(*body) < length) {
        err_set(err, "the body has a NUL byte: it is not JSON");
        free(*body);
        *body = NULL;
        result = RESULT_FAIL;
    }
    return result;
}

/* Prints bytes of an answer; on a terminal without control characters, which could steer it. */
static void print_bytes(FILE *stream, const char *bytes, size_t length)
{
    if (isatty(fileno(stream)))
        printable_write(stream, bytes, length);
    else
        fwrite(bytes, 1, length, stream);
}

/* Prints a part of an answer. Where the API repeats the token, "[token]" is printed for it. */
static void print_masked(FILE *stream, const char *bytes, size_t length, const char *token)
{
    const char *at = bytes, *end = at + length, *found;

    while ((found = memmem(at, (size_t)(end - at), token, strlen(token))) != NULL) {
        print_bytes(stream, at, (size_t)(found - at));
        fputs("[token]", stream);
        at = found + strlen(token);
    }
    print_bytes(stream, at, (size_t)(end - at));
}

static void print_status_line(const struct http_answer *answer, const char *token)
{
    fprintf(stderr, "HTTP %d%s", answer->status, *answer->reason != '\0' ? " " : "");
    print_masked(stderr, answer->reason, strlen(answer->reason), token);
    fputc('\n', stderr);
}

static void print_body(const struct http_answer *answer, const char *token)
{
    print_masked(stdout, answer->body, answer->body_length, token);
    if (answer->body_length > 0 && answer->body[answer->body_length - 1] != '\n')
        putchar('\n');
}

/* Marks the token, which the API has refused, as invalid, unless another one was stored meanwhile. */
static void mark_refused_token(const char *verb, struct store *store, const char *community, const char *stored_at)
{
    struct err err;
    bool refused;

    if (store_connect(store, 1, &err) != RESULT_OK ||
        store_refuse_bot_token(store, community, stored_at, &refused, &err) != RESULT_OK)
        fprintf(stderr, "%s: the API refused the bot token of %s, which could not be recorded: %s\n", verb, community,
                err.text);
    else if (refused)
        fprintf(stderr,
                "%s: the API refused the bot token of %s: it is marked as invalid; what needs it waits until `candhook "
                "token set %s`\n",
                verb, community, community);
    else
        fprintf(stderr, "%s: the API refused the bot token of %s; another one has been stored since: try again\n", verb,
                community);
}

/* Calls with the token of REQUEST, which was stored at STORED_AT. Returns the exit status. */
static int call_and_print(const char *verb, const char *base, const struct api_options *options,
                          struct api_request *request, struct store *store, const char *stored_at)
{
    struct http *http = http_new();
    struct http_answer answer;
    struct err err;
    enum result result = api_call(http, base, request, &answer, &err);
    bool good = result == RESULT_OK && answer.status >= 200 && answer.status < 300;

    http_free(http);
    if (result != RESULT_OK) {
        fprintf(stderr, "%s: %s\n", verb, err.text);
        return result == RESULT_RETRY ? EX_UNAVAILABLE : EX_USAGE;
    }
    if (!good || options->include)
        print_status_line(&answer, request->bot_token);
    print_body(&answer, request->bot_token);
    if (answer.status == 401)
        mark_refused_token(verb, store, options->community, stored_at);
    http_answer_free(&answer);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "%s: cannot print the answer: %s\n", verb, strerror(errno));
        return EX_IOERR;
    }
    return good ? 0 : 1;
}

/* Reads the token from the database and calls. Returns the exit status. */
static int call_with_token(const char *verb, const struct api_options *options, const char *body)
{
    struct api_request request = {.method = options->method,
                                  .path = options->path,
                                  .body = body,
                                  .community_id = options->community,
                                  .profile_id = options->profile,
                                  .timeout_ms = TIMEOUT_MS};
    struct conf *conf;
    struct store *store;
    struct err err;
    char *token, *stored_at;
    enum result result;
    int status = verb_begin_store(verb, true, &conf, &store);

    if (status != 0)
        return status;
    result = store_bot_token(store, options->community, &token, &stored_at, &err);
    store_disconnect(store); /* a connection is dear, and the API may take long to answer */
    if (result != RESULT_OK) {
        status = verb_fail(verb, result, &err);
    } else if (token == NULL) {
        fprintf(stderr, "%s: there is no valid bot token of %s: `candhook token set %s` stores one\n", verb,
                options->community, options->community);
        status = EX_DATAERR;
    } else {
        request.bot_token = token;
        status = call_and_print(verb, conf->api_url, options, &request, store, stored_at);
    }
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
    free(stored_at);
    store_free(store);
    conf_free(conf);
    return status;
}

int verb_api(int argc, char **argv)
{
    struct api_options options = {.community = conf_default_community()};
    char *body = NULL;
    struct err err;
    int status;

    argp_parse(&api_argp, argc, argv, 0, NULL, &options);
    if (read_data(options.data, &body, &err) != RESULT_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return EX_DATAERR;
    }
    status = call_with_token(argv[0], &options, body);
    free(body);
    return status;
}
