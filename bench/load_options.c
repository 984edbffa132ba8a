/*
 * SPDX-License-Identifier: ISC
 *
 * The load generator's command line.
 */
#include <config.h>

#include "load_options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "load of " PACKAGE_STRING;

enum { KEY_FIRST = 1, KEY_NO_KEEP_ALIVE, KEY_TYPE };

static const struct argp_option option_table[] = {
    {"connections", 'c', "N", 0, "Connections; in the open loop the most there may be (64, open loop 512)", 0},
    {"rate", 'r', "N", 0, "Open loop: so many events a second, by the clock", 0},
    {"seconds", 's', "N", 0, "Send for so long (10, unless there is a --count)", 0},
    {"count", 'n', "N", 0, "Send so many events", 0},
    {"size", 'b', "BYTES", 0, "Of a body (300)", 0},
    {"communities", 'g', "N", 0, "Different values of originCommunityId, in turn: G000000001 and so on (1)", 0},
    {"prefix", 'p', "WORD", 0, "Of the payloads' ids (load)", 0},
    {"first", KEY_FIRST, "N", 0, "The first event's number (0)", 0},
    {"type", KEY_TYPE, "TYPE", 0, "Of the events (product.created)", 0},
    {"timeout", 't', "SECONDS", 0, "Until an answer is given up (30)", 0},
    {"no-keep-alive", KEY_NO_KEEP_ALIVE, NULL, 0, "A connection for each event", 0},
    {"acknowledged", 'a', "FILE", 0, "Write the numbers that were answered with 2xx, as lines `FIRST LAST'", 0},
    {"every", 'e', "SECONDS", 0, "Also print a line of JSON for each such stretch of time", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static double number(struct argp_state *state, const char *text, double least)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= least && value <= 1e15))
        argp_error(state, "that is no number of at least %g: %s", least, text);
    return value;
}

static void read_url(struct argp_state *state, const char *url, struct options *options)
{
    char host[32];
    unsigned port;
    int end = 0;

    if (sscanf(url, "http://%31[0-9.]:%u%n", host, &port, &end) != 2 || port > 65535 || url[end] != '/' ||
        inet_pton(AF_INET, host, &options->address.sin_addr) != 1 || strncmp(host, "127.", 4) != 0)
        argp_error(state, "the URL must be like http://127.0.0.1:8080/path, on this machine: %s", url);
    if (strlen(url + end) >= sizeof options->path)
        argp_error(state, "the path is too long: %s", url + end);
    options->address.sin_family = AF_INET;
    options->address.sin_port = htons((uint16_t)port);
    snprintf(options->host, sizeof options->host, "%s:%u", host, port);
    strcpy(options->path, url + end);
}

static const char *word(struct argp_state *state, const char *text)
{
    if (strlen(text) > 100 || strpbrk(text, "\"\\\r\n") != NULL)
        argp_error(state, "a word of at most 100 bytes, please: %s", text);
    return text;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'c':
        options->connections = (int)number(state, text, 1);
        break;
    case 'r':
        options->rate = number(state, text, 0.001);
        break;
    case 's':
        options->seconds = number(state, text, 0.001);
        break;
    case 'n':
        options->count = (uint64_t)number(state, text, 1);
        break;
    case 'b':
        options->size = (size_t)number(state, text, 1);
        break;
    case 'g':
        options->communities = (int)number(state, text, 1);
        break;
    case 'p':
        options->prefix = word(state, text);
        break;
    case 't':
        options->timeout = number(state, text, 0.001);
        break;
    case 'a':
        options->acknowledged = text;
        break;
    case 'e':
        options->every = number(state, text, 0.1);
        break;
    case KEY_FIRST:
        options->first = (uint64_t)number(state, text, 0);
        break;
    case KEY_TYPE:
        options->type = word(state, text);
        break;
    case KEY_NO_KEEP_ALIVE:
        options->no_keep_alive = 1;
        break;
    case ARGP_KEY_ARG:
        read_url(state, text, options);
        break;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    "URL",
    "POSTs events to a server on this machine, and prints what came of it as a line of JSON.\v"
    "Latencies are those of answers 2xx. refused: no connection could be made; broken: it ended without an answer; "
    "late: no answer in time. An event that was not answered is not sent again.",
    NULL,
    NULL,
    NULL};

void options_read(struct options *options, int argc, char **argv)
{
    *options =
        (struct options){.prefix = "load", .type = "product.created", .timeout = 30, .communities = 1, .size = 300};
    argp_parse(&argp, argc, argv, 0, NULL, options);
    if (options->connections == 0)
        options->connections = options->rate > 0 ? 512 : 64;
    if (options->seconds <= 0 && options->count == 0)
        options->seconds = 10;
}
