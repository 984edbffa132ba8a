/*
 * SPDX-License-Identifier: ISC
 *
 * candhook work: the worker, for a terminal, a service, cron, or the responder's helper.
 */
#include <config.h>

#include "base/log.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"
#include "work/worker.h"

#include <argp.h>
#include <sysexits.h>

enum { KEY_ONCE = 1, KEY_UNLESS_STOPPED };

static const struct argp_option option_table[] = {
    {"once", KEY_ONCE, NULL, 0, "Record what is spooled, run what is due, and end (for cron)", 0},
    {"unless-stopped", KEY_UNLESS_STOPPED, NULL, 0, "Do nothing after candhook stop", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct worker_options *options = state->input;

    (void)text;
    if (key == KEY_ONCE)
        options->once = 1;
    else if (key == KEY_UNLESS_STOPPED)
        options->unless_stopped = 1;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Records spooled events in the database and runs their handlers.\v"
    "A mounted responder starts this by itself when no worker runs for its spool. It ends in good order on TERM, on "
    "candhook stop, and when candhook or its schema was replaced. Exit status: 0; 75 when another worker runs, or, "
    "with --once, the database or a part of the spool cannot be used now; 78 when the configuration is wrong.",
    NULL,
    NULL,
    NULL};

/* Says why there was no work: to the person who asked for it, else to the log. Returns the exit status. */
static int say_why(const char *verb, const struct worker_options *options, enum result result, const struct err *err)
{
    if (!options->unless_stopped)
        (void)verb_fail(verb, result, err);
    else if (result == RESULT_RETRY)
        log_debug("worker=not_started reason=%s", err->text); /* two helpers were quick: one worker is enough */
    else
        log_error("worker=ended reason=%s", err->text);
    return result == RESULT_RETRY ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

int verb_work(int argc, char **argv)
{
    struct worker_options options = {0};
    struct conf *conf;
    struct err err;
    enum result result;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    status = verb_begin_conf(argv[0], &conf);
    if (status != 0)
        return status;
    if (log_open(conf->log, conf->log_level, "candhook", &err) != RESULT_OK) {
        (void)verb_fail(argv[0], RESULT_FAIL, &err);
        conf_free(conf);
        return EX_CONFIG;
    }
    result = worker_run(conf, &options, &err);
    if (result != RESULT_OK)
        status = say_why(argv[0], &options, result, &err);
    conf_free(conf);
    return status;
}
