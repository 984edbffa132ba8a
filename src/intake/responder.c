/*
 * SPDX-License-Identifier: ISC
 *
 * candhook.fcgi: takes the platform's POSTs from a front server, by FastCGI or CGI, and makes them durable before they
 * are answered. No JSON and no database here: what faces the net knows no token.
 */
#include <config.h>

#include "base/log.h"
#include "base/std_fds.h"
#include "conf/conf.h"
#include "intake/cgi.h"
#include "intake/fcgi.h"
#include "intake/intake.h"
#include "intake/worker_start.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

const char *argp_program_version = "candhook.fcgi " PACKAGE_VERSION;

struct options {
    const char *listen;
    int no_worker;
};

enum { KEY_NO_WORKER = 1 };

static const struct argp_option option_table[] = {
    {"listen", 'l', "PATH", 0, "Open this unix socket (mode 0660) and answer FastCGI on it", 0},
    {"no-worker", KEY_NO_WORKER, NULL, 0, "Start no candhook work: a service of its own does", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 'l')
        options->listen = text;
    else if (key == KEY_NO_WORKER)
        options->no_worker = 1;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Takes webhook events from a web server and makes them durable in candhook's spool.\v"
    "A front server starts this program: by FastCGI with a listening socket as descriptor 0 or, from systemd, 3; or by "
    "CGI. By hand, give --listen. The configuration is read from $CANDHOOK_CONF, else from " SYSCONFDIR
    "/candhook.conf. "
    "See candhook.fcgi(8).",
    NULL,
    NULL,
    NULL};

/* The listening socket that systemd passes: descriptor 3, if it is meant for us. -1: none. */
static int systemd_listener(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int passed = pid != NULL && count != NULL && atol(pid) == (long)getpid() && atoi(count) > 0;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!passed || !fcgi_is_listening(3))
        return -1;
    fcntl(3, F_SETFD, FD_CLOEXEC);
    return 3;
}

/*
 * The listening socket that we were started with, or -1. All else that whoever started us left open is closed: Apache's
 * prefork leaks pipes, and a program that keeps them holds up Apache's restart.
 */
static int inherited_listener(void)
{
    int listener = systemd_listener();

    close_range(listener == 3 ? 4 : 3, ~0U, 0);
    if (listener < 0 && fcgi_is_listening(0))
        listener = 0;
    return listener;
}

/* The whole life under FastCGI. Returns the exit status. */
static int serve(struct conf *conf, const struct options *options, int listener)
{
    struct intake intake;
    struct err err;
    int status = EX_CONFIG;

    if (options->listen != NULL && fcgi_listen(options->listen, &listener, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        return EX_CANTCREAT;
    }
    if (!options->no_worker && worker_start_fork_helper(conf, listener) < 0) /* before anything else is opened */
        log_warning("helper=not_started remedy=\"start candhook work yourself\"");
    if (intake_open(&intake, conf, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        return EX_CONFIG;
    }
    log_info("responder=started spool=%s", conf->spool);
    if (fcgi_serve(&intake, listener, &err) == RESULT_OK) {
        log_info("responder=ended");
        status = 0;
    } else {
        log_error("responder=ended reason=%s", err.text);
    }
    intake_close(&intake);
    if (options->listen != NULL)
        unlink(options->listen);
    return status;
}

/* The whole life under CGI. */
static int answer_one(struct conf *conf)
{
    struct intake intake;
    struct err err;
    enum status status;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write */
    if (intake_open(&intake, conf, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        cgi_answer_unavailable();
        return EX_CONFIG;
    }
    status = cgi_answer(&intake);
    intake_close(&intake);
    if (status == STATUS_OK || status == STATUS_BAD_REQUEST)
        worker_start_once(conf);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {NULL, 0};
    struct conf *conf;
    struct err err;
    int listener, is_cgi, status;

    std_fds_reserve();
    listener = inherited_listener();
    is_cgi = listener < 0 && cgi_is_request();
    if (!is_cgi) /* else they are a stranger's words: CGI makes arguments of a query without an equal sign */
        argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (!is_cgi && listener < 0 && options.listen == NULL) {
        fprintf(stderr,
                "candhook.fcgi: no web server started me, and there is no --listen. Try candhook.fcgi --help.\n");
        return EX_USAGE;
    }
    if (conf_load(&conf, &err) != RESULT_OK ||
        log_open(conf->log, conf->log_level, "candhook.fcgi", &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        if (is_cgi)
            cgi_answer_unavailable();
        return EX_CONFIG;
    }
    explicit_bzero(conf->database, strlen(conf->database)); /* what faces the net needs no password */
    status = is_cgi ? answer_one(conf) : serve(conf, &options, listener);
    conf_free(conf);
    return status;
}
