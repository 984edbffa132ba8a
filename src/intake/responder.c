/*
 * SPDX-License-Identifier: ISC
 *
 * candhook.fcgi: takes the platform's POSTs from a front server, by FastCGI or CGI, and makes each body durable before
 * it answers 200. It has neither a JSON parser nor a database connection: what faces the net knows no token. What
 * touches a request is a child of this process, and confined.
 */
#include <config.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/std_fds.h"
#include "conf/conf.h"
#include "intake/cgi.h"
#include "intake/confine.h"
#include "intake/fcgi.h"
#include "intake/file_broker.h"
#include "intake/intake.h"
#include "intake/monitor.h"
#include "intake/worker_start.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

const char *argp_program_version = "candhook.fcgi " PACKAGE_VERSION;

struct responder_options {
    const char *listen;
    bool no_worker;
};

enum { KEY_NO_WORKER = 1 };

static const struct argp_option responder_option_table[] = {
    {.name = "listen", .key = 'l', .arg = "PATH", .doc = "Open this unix socket (mode 0660) and answer FastCGI on it"},
    {.name = "no-worker", .key = KEY_NO_WORKER, .doc = "Start no candhook work: a service of its own does"},
    {0},
};

static error_t parse_responder_option(int key, char *text, struct argp_state *state)
{
    struct responder_options *options = state->input;

    if (key == 'l')
        options->listen = text;
    else if (key == KEY_NO_WORKER)
        options->no_worker = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp responder_argp = {
    .options = responder_option_table,
    .parser = parse_responder_option,
    .doc =
        "Takes webhook events from a web server and makes them durable in candhook's spool.\v"
        "A front server starts this program: by FastCGI with a listening socket as descriptor 0 or, from systemd, 3; or by "
        "CGI. By hand, give --listen. The configuration is read from $CANDHOOK_CONF, else from " SYSCONFDIR
        "/candhook.conf. See candhook.fcgi(8).",
};

/* Gives up what is not needed any more, if the configuration wants it. TEXT is what is in force, for the log. */
static void confine(const struct conf *conf, char text[CONFINE_TEXT_BYTES])
{
    strcpy(text, "no");
    if (conf->confine)
        confine_process(conf->spool, text);
}

/* ---- FastCGI ---- */

/* The life of a responder: answers on the listening socket *CONTEXT until told to end. Returns the exit status. */
static int serve_listener(struct conf *conf, int broker, void *context)
{
    const int *listener = context;
    char confined[CONFINE_TEXT_BYTES];
    struct intake intake;
    struct err err;

    if (intake_open(&intake, conf, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        return EX_CONFIG;
    }
    if (conf->confine)
        file_broker_use(broker, conf);
    confine(conf, confined);
    log_info("responder=started spool=%s confined=%s", conf->spool, confined);
    fcgi_serve(&intake, *listener);
    log_info("responder=ended");
    intake_close(&intake);
    return EX_OK;
}

/* The whole life under FastCGI. Returns the exit status. */
static int serve_fastcgi(struct conf *conf, const struct responder_options *options, int listener)
{
    struct err err;
    int status;

    if (options->listen != NULL && listener_open(options->listen, &listener, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        return EX_CANTCREAT;
    }
    status = monitor_run(conf, !options->no_worker, serve_listener, &listener);
    if (options->listen != NULL)
        unlink(options->listen);
    return status;
}

/* ---- CGI ---- */

enum { CGI_NOTHING_SPOOLED = 0, CGI_SPOOLED = 1 };

/* Answers the request in a child. Returns one of the above, or another exit status. */
static int answer_cgi_request(struct conf *conf)
{
    char confined[CONFINE_TEXT_BYTES];
    struct intake intake;
    struct err err;
    enum request_status status;

    if (intake_open(&intake, conf, &err) != RESULT_OK) {
        log_error("responder=not_started reason=%s", err.text);
        cgi_answer_unavailable();
        return EX_CONFIG;
    }
    confine(conf, confined);
    status = cgi_answer(&intake);
    intake_close(&intake);
    return status == STATUS_OK || status == STATUS_BAD_REQUEST ? CGI_SPOOLED : CGI_NOTHING_SPOOLED;
}

/* The whole life under CGI: a confined child answers, and this process starts the worker. Returns the exit status. */
static int answer_cgi(struct conf *conf)
{
    int status = 0;
    pid_t child;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write */
    signal(SIGTERM,
           SIG_IGN); /* a front whose sender has gone ends us: what is spooled must have its worker all the same */
    child = fork();
    if (child == 0)
        _exit(answer_cgi_request(conf));
    if (child < 0)
        status = answer_cgi_request(conf) << 8; /* a host that allows no more processes still gets its event taken */
    else
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CGI_SPOOLED)
        worker_start_once(conf);
    return WIFEXITED(status) && WEXITSTATUS(status) != CGI_SPOOLED ? WEXITSTATUS(status) : 0;
}

int main(int argc, char **argv)
{
    struct responder_options options = {.listen = NULL};
    struct conf *conf;
    struct err err;
    int listener, status;
    bool is_cgi;

    std_fds_reserve();
    listener = listener_inherited();
    is_cgi = listener < 0 && cgi_is_request();
    if (!is_cgi) /* CGI makes arguments of a query without an equal sign: they are a stranger's */
        argp_parse(&responder_argp, argc, argv, 0, NULL, &options);
    if (!is_cgi && listener < 0 && options.listen == NULL) {
        fprintf(stderr, "candhook.fcgi: it was not started by a web server, and --listen is not given. "
                        "Try candhook.fcgi --help.\n");
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
    status = is_cgi ? answer_cgi(conf) : serve_fastcgi(conf, &options, listener);
    conf_free(conf);
    return status;
}
