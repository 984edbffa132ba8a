/*
 * SPDX-License-Identifier: ISC
 *
 * candhook send: POSTs an event to a URL as the platform does, and prints the answer. The URL holds a secret, so
 * nothing that is printed has more of it than scheme and host.
 */
#include <config.h>

#include "conf/conf.h"
#include "event/event.h"
#include "event/sample.h"
#include "http/http.h"
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

struct options {
    const char *type, *file;
    char **assignments; /* of --set, borrowed from argv */
    size_t assignment_count;
    long count;
    int list;
    char *url;
};

static const struct argp_option option_table[] = {
    {"type", 't', "TYPE", 0, "Send the sample of this type (product.created)", 0},
    {"file", 'f', "FILE", 0, "Send what is in FILE instead, byte for byte; - is stdin", 0},
    {"set", OPTION_SET, "PATH=VALUE", 0, "Change a member first: payload.id=CP:1, context.userId=null; may be repeated",
     0},
    {"count", 'n', "N", 0, "Send it N times, one after the other", 0},
    {"list", OPTION_LIST, NULL, 0, "List the types there are samples of", 0},
    {NULL, 0, NULL, 0, NULL, 0},
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

/* Takes the URL out of argv, which every user of the machine can read. */
static char *take_url(char *argument)
{
    char *copy = strdup(argument);

    if (copy == NULL)
        abort();
    if (strcmp(argument, "-") != 0)
        explicit_bzero(argument, strlen(argument));
    return copy;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 't')
        options->type = text;
    else if (key == 'f')
        options->file = text;
    else if (key == OPTION_SET)
        options->assignments[options->assignment_count++] = text;
    else if (key == 'n')
        options->count = read_count(text, state);
    else if (key == OPTION_LIST)
        options->list = 1;
    else if (key == ARGP_KEY_ARG && options->url == NULL)
        options->url = take_url(text);
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "one URL is enough");
    else if (key == ARGP_KEY_END && options->type != NULL && options->file != NULL)
        argp_error(state, "--type and --file exclude each other");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    "[URL]",
    "POSTs a sample event to the webhook URL and prints the answer.\v"
    "The URL is a secret, and an argument can be seen by every user of the machine while the program starts. So it can "
    "also be given in the environment as CANDHOOK_URL, or, when URL is -, as the first line of stdin:\n"
    "  printf 'https://your.site/candhook/%s' SECRET | candhook send -\n"
    "A VALUE that can be read as JSON is put in as JSON, any other as a string. Redirections are not followed, and "
    "certificates are always checked.\n"
    "Exit status: 0 when every answer was 2xx, 1 when one was not, 69 when there was no answer, 64 for wrong usage.",
    NULL,
    NULL,
    NULL};

static int list_samples(void)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        puts(sample->type);
    return 0;
}

/* ---- what is sent ---- */

/* Reads a whole file; a NUL stands behind it. NULL with errno. */
static char *read_all(FILE *file, size_t *length)
{
    size_t size = 65536;
    char *text = malloc(size);

    *length = 0;
    while (text != NULL) {
        *length += fread(text + *length, 1, size - *length - 1, file);
        if (*length < size - 1 || size > FILE_MAX_BYTES)
            break;
        text = realloc(text, size *= 2);
    }
    if (text == NULL)
        abort();
    text[*length] = '\0';
    if (!ferror(file) && size <= FILE_MAX_BYTES)
        return text;
    if (!ferror(file))
        errno = EFBIG;
    free(text);
    return NULL;
}

/* The body before it is changed, allocated. NULL after saying why. */
static char *base_body(const char *verb, const struct options *options, size_t *length)
{
    const char *type = options->type != NULL ? options->type : "product.created";
    const struct sample *sample = sample_find(type);
    FILE *file;
    char *body;

    if (options->file == NULL && sample == NULL) {
        fprintf(stderr,
                "%s: there is no sample of the type %s; --list shows the types, and --set type=%s makes another\n",
                verb, type, type);
        return NULL;
    }
    if (options->file == NULL) {
        *length = strlen(sample->body);
        body = strdup(sample->body);
        if (body == NULL)
            abort();
        return body;
    }
    file = strcmp(options->file, "-") == 0 ? stdin : fopen(options->file, "rb");
    body = file != NULL ? read_all(file, length) : NULL;
    if (body == NULL)
        fprintf(stderr, "%s: cannot read %s: %s\n", verb, options->file, strerror(errno));
    if (file != NULL && file != stdin)
        fclose(file);
    return body;
}

/* The body to send, allocated. NULL after saying why. */
static char *make_body(const char *verb, const struct options *options, size_t *length)
{
    char *base = base_body(verb, options, length), *changed;
    struct err err;

    if (base == NULL || options->assignment_count == 0)
        return base;
    if (event_change(base, options->assignments, options->assignment_count, &changed, &err) != RESULT_OK)
        fprintf(stderr, "%s: %s\n", verb, err.text);
    else
        *length = strlen(changed);
    free(base);
    return changed;
}

/* ---- where to ---- */

/* The URL from the argument, stdin or the environment, allocated. NULL when there is none. */
static char *find_url(const char *argument)
{
    const char *given = argument != NULL ? argument : conf_default_url();
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (given == NULL || strcmp(given, "-") != 0)
        return given != NULL ? strdup(given) : NULL;
    length = getline(&line, &size, stdin);
    while (length > 0 && strchr("\r\n \t", line[length - 1]) != NULL)
        line[--length] = '\0';
    if (length > 0)
        return line;
    free(line);
    return NULL;
}

/* ---- the answer ---- */

/* What comes from outside is not let loose on a terminal. */
static char printable(char byte)
{
    return byte == '\n' || byte == '\t' || (unsigned char)byte >= 0x80 || (byte >= ' ' && byte < 0x7f) ? byte : '?';
}

static void say_answer(const struct http_answer *answer)
{
    printf("%d%s%s  (%.3f s)\n", answer->status, *answer->reason != '\0' ? " " : "", answer->reason, answer->seconds);
    for (size_t i = 0; i < answer->body_length; i++)
        putchar(printable(answer->body[i]));
    if (answer->body_length > 0 && answer->body[answer->body_length - 1] != '\n')
        putchar('\n');
}

/* Sends the request COUNT times, and says each kind of answer when it first comes. Returns the exit status. */
static int send_all(const char *verb, const struct http_request *request, long count)
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
            say_answer(&answer);
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

/* Connects what to where. Returns the exit status. */
static int send_to(const char *verb, const struct options *options, const char *url)
{
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = {"Content-Type: application/json"},
                                   .timeout_ms = TIMEOUT_MS,
                                   .answer_bytes = SHOWN_BYTES};
    char *body = make_body(verb, options, &request.body_length);
    int status = EX_USAGE;

    request.body = body;
    if (body != NULL)
        status = send_all(verb, &request, options->count);
    free(body);
    return status;
}

int verb_send(int argc, char **argv)
{
    struct options options = {.count = 1, .assignments = calloc((size_t)argc, sizeof *options.assignments)};
    char *url;
    int status = EX_USAGE;

    if (options.assignments == NULL)
        abort();
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    url = options.list ? NULL : find_url(options.url);
    if (options.list)
        status = list_samples();
    else if (url == NULL)
        fprintf(stderr, "%s: no URL: give it as an argument, in CANDHOOK_URL, or on stdin with -\n", argv[0]);
    else
        status = send_to(argv[0], &options, url);
    free(url);
    free(options.url);
    free(options.assignments);
    return status;
}
