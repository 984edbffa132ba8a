/*
 * SPDX-License-Identifier: ISC
 *
 * candhook work: runs the worker: for a person, a service, cron, or candhook.fcgi (intake/worker_start.c).
 */
#include <config.h>

#include "base/log.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"
#include "work/worker.h"

#include <argp.h>
#include <sysexits.h>

enum { OPTION_ONCE = 256, OPTION_UNLESS_STOPPED };

static const struct argp_option work_option_table[] = {
    {.name = "once", .key = OPTION_ONCE, .doc = "Record everything, run everything that is due, and end (for cron)"},
    {.name = "unless-stopped", .key = OPTION_UNLESS_STOPPED, .doc = "Do nothing after candhook stop (for services)"},
    {0},
};

static error_t parse_work_option(int key, char *text, struct argp_state *state)
{
    struct worker_options *options = state->input;

    (void)text;
    if (key == OPTION_ONCE)
        options->once = true;
    else if (key == OPTION_UNLESS_STOPPED)
        options->unless_stopped = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp work_argp = {
    .options = work_option_table,
    .parser = parse_work_option,
    .doc = "Records spooled events in the database and runs their handlers.\v"
           "A responder starts this by itself when no worker runs for its spool. The worker finishes its batch and "
           "ends on TERM, on candhook stop, and when candhook or the schema was upgraded. Without --unless-stopped, "
           "this ends the effect of candhook stop.\n"
           "Exit status: 0; 69 when it cannot work until somebody changes something; 75 when another worker has the "
           "spool, or, with --once, when the database or a part of the spool could not be used: try again.",
};

/* Tells a person on stderr why the worker failed; with --unless-stopped, which programs use, the log. Returns the exit
 * status. */
static int report_work_failure(const char *verb, const struct worker_options *options, enum result result,
                               const struct err *err)
{
    if (!options->unless_stopped)
        (void)verb_fail(verb, result, err);
    else if (result == RESULT_RETRY)
        log_debug("worker=not_started reason=%s", err->text); /* another process has just started a worker */
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

    argp_parse(&work_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_conf(argv[0], &conf);
    if (status != EX_OK)
        return status;
    if (log_open(conf->log, conf->log_level, "candhook", &err) != RESULT_OK)
        status = verb_fail_with(argv[0], EX_CONFIG, &err);
    else if ((result = worker_run(conf, &options, &err)) != RESULT_OK)
        status = report_work_failure(argv[0], &options, result, &err);
    conf_free(conf);
    return status;
}
