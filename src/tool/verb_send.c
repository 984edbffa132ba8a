/*
 * SPDX-License-Identifier: ISC
 *
 * candhook send: POSTs an event to a URL as the platform does, and prints the answer. The URL holds a secret, so no
 * output has more of it than scheme, host and port.
 */
#include <config.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/printable.h"
#include "event/event.h"
#include "event/sample.h"
#include "http/http.h"
#include "tool/url_argument.h"
#include "tool/verb.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define TIMEOUT_MS 30000L
#define COUNT_MAX 1000000
#define FILE_MAX_BYTES (64 * 1024 * 1024)
#define SHOWN_BYTES 4096 /* of an answer's body */

enum { OPTION_SET = 256, OPTION_LIST };

struct send_options {
    const char *type, *file;
    char **assignments; /* of --set; the texts are argv's */
    size_t assignment_count;
    long count;
    bool list;
    char *url;
};

static const struct argp_option send_option_table[] = {
    {.name = "type", .key = 't', .arg = "TYPE", .doc = "Send the sample of this type (product.created)"},
    {.name = "file", .key = 'f', .arg = "FILE", .doc = "Send what is in FILE instead, byte for byte; - is stdin"},
    {"set", OPTION_SET, "PATH=VALUE", 0, "Change a member first: payload.id=CP:1, context.userId=null; may be repeated",
     0},
    {.name = "count", .key = 'n', .arg = "N", .doc = "Send it N times, one after the other"},
    {.name = "list", .key = OPTION_LIST, .doc = "List the types there are samples of"},
    {0},
};

static long read_count(const char *text, struct argp_state *state)
{
    char *end;
    long count;

    errno = 0;
    count = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || count < 1 || count > COUNT_MAX)
        argp_error(state, "--count takes a number from 1 to %d", COUNT_MAX);
    return count;
}

static error_t parse_send_option(int key, char *text, struct argp_state *state)
{
    struct send_options *options = state->input;

    if (key == 't')
        options->type = text;
    else if (key == 'f')
        options->file = text;
    else if (key == OPTION_SET)
        options->assignments[options->assignment_count++] = text;
    else if (key == 'n')
        options->count = read_count(text, state);
    else if (key == OPTION_LIST)
        options->list = true;
    else if (key == ARGP_KEY_ARG && options->url == NULL)
        options->url = url_argument_take(text);
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "one URL is enough");
    else if (key == ARGP_KEY_END && options->type != NULL && options->file != NULL)
        argp_error(state, "--type and --file exclude each other");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp send_argp = {
    .options = send_option_table,
    .parser = parse_send_option,
    .args_doc = "[URL]",
    .doc =
        "POSTs a sample event to the webhook URL and prints the answer.\v"
        "The URL is a secret, and an argument can be seen by every user of the machine while the program starts. So it "
        "can also be given in the environment as CANDHOOK_URL, or, when URL is -, as the first line of stdin:\n"
        "  printf 'https://your.site/candhook/%s' SECRET | candhook send -\n"
        "A VALUE that is JSON is put in as JSON, any other as a string. Redirections are not followed, and "
        "certificates are always checked.\n"
        "Exit status: 0 when every answer was 2xx, 1 when one was not, 69 when there was no answer, 64 for "
        "wrong usage.",
};

static void print_sample_types(void)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        puts(sample->type);
}

/* ---- the body ---- */

/* *BODY is the file or the sample as it is, allocated. */
static enum result read_body(const struct send_options *options, char **body, size_t *length, struct err *err)
{
    const char *type = options->type != NULL ? options->type : "product.created";
    const struct sample *sample = sample_find(type);

    if (options->file != NULL)
        return io_read_file(options->file, FILE_MAX_BYTES, body, length, err);
    if (sample == NULL) {
        err_set(err, "there is no sample of the type %s; --list shows the types, and --set type=%s makes another", type,
                type);
        return RESULT_FAIL;
    }
    *length = strlen(sample->body);
    *body = memory_copy_text(sample->body);
    return RESULT_OK;
}

/* *BODY is what is to be sent, allocated; NULL on failure. */
static enum result make_send_body(const struct send_options *options, char **body, size_t *length, struct err *err)
{
    char *unchanged = NULL;
    enum result result = read_body(options, &unchanged, length, err);

    *body = unchanged;
    if (result != RESULT_OK || options->assignment_count == 0)
        return result;
    result = event_change(unchanged, options->assignments, options->assignment_count, body, err);
    if (result == RESULT_OK)
        *length = strlen(*body);
    free(unchanged);
    return result;
}

/* ---- sending ---- */

static void print_answer(const struct http_answer *answer)
{
    printf("%d%s%s  (%.3f s)\n", answer->status, *answer->reason != '\0' ? " " : "", answer->reason, answer->seconds);
    printable_write(stdout, answer->body, answer->body_length);
    if (answer->body_length > 0 && answer->body[answer->body_length - 1] != '\n')
        putchar('\n');
}

/* Sends the request COUNT times. Prints an answer when its status is not that of the one before. Returns the exit
 * status. */
static int send_repeatedly(const char *verb, const struct http_request *request, long count)
{
    struct http *http = http_new();
    enum result result = RESULT_OK;
    long good = 0;
    int last = 0;
    struct err err;

    for (long i = 0; i < count && result == RESULT_OK; i++) {
        struct http_answer answer;

        result = http_send(http, request, &answer, &err);
        if (result != RESULT_OK)
            break;
        if (answer.status != last)
            print_answer(&answer);
        last = answer.status;
        good += answer.status >= 200 && answer.status < 300;
        http_answer_free(&answer);
    }
    http_free(http);
    if (result != RESULT_OK) {
        fprintf(stderr, "%s: %s\n", verb, err.text);
        return result == RESULT_RETRY ? EX_UNAVAILABLE : EX_USAGE;
    }
    if (count > 1)
        printf("%ld of %ld were taken\n", good, count);
    return good == count ? 0 : 1;
}

/* Returns the exit status. */
static int send_to(const char *verb, const struct send_options *options, const char *url)
{
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = {"Content-Type: application/json"},
                                   .timeout_ms = TIMEOUT_MS,
                                   .answer_bytes = SHOWN_BYTES,
                                   .status_only = true};
    int status = EX_USAGE;
    struct err err;
    char *body;

    if (make_send_body(options, &body, &request.body_length, &err) != RESULT_OK) {
        fprintf(stderr, "%s: %s\n", verb, err.text);
    } else {
        request.body = body;
        status = send_repeatedly(verb, &request, options->count);
    }
    free(body);
    return status;
}

int verb_send(int argc, char **argv)
{
    struct send_options options = {.count = 1, .assignments = memory_new((size_t)argc, sizeof *options.assignments)};
    char *url = NULL;
    int status = EX_USAGE;

    argp_parse(&send_argp, argc, argv, 0, NULL, &options);
    if (options.list) {
        print_sample_types();
        status = 0;
    } else if ((url = url_argument_find(options.url)) == NULL) {
        fprintf(stderr, "%s: no URL: give it as an argument, in CANDHOOK_URL, or on stdin with -\n", argv[0]);
    } else {
        status = send_to(argv[0], &options, url);
    }
    free(url);
    free(options.url);
    free(options.assignments);
    return status;
}
