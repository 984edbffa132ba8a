/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: checks this installation and says what is wrong and what to do. The checks are in doctor_*.c.
 */
#include <config.h>

#include "http/url.h"
#include "tool/doctor.h"
#include "tool/url_argument.h"
#include "tool/verb.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor_options {
    char *url; /* as given; NULL: not given */
    bool probe, quiet;
};

static const struct argp_option doctor_option_table[] = {
    {.name = "url",
     .key = 'u',
     .arg = "URL",
     .doc = "Post marked events to URL, and follow them; - reads it from stdin"},
    {.name = "probe", .key = 'p', .doc = "The same with CANDHOOK_URL, else with base_url and a secret of the file"},
    {.name = "quiet", .key = 'q', .doc = "Print only what is wrong"},
    {0},
};

static error_t parse_doctor_option(int key, char *text, struct argp_state *state)
{
    struct doctor_options *options = state->input;

    if (key == 'u' && options->url == NULL)
        options->url = url_argument_take(text);
    else if (key == 'u')
        argp_error(state, "one URL is enough");
    else if (key == 'p')
        options->probe = true;
    else if (key == 'q')
        options->quiet = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp doctor_argp = {
    .options = doctor_option_table,
    .parser = parse_doctor_option,
    .doc = "Checks this installation and says what is wrong and what to do about it.\v"
           "Prints a line for each check: ok, note (somebody may want to know), or WRONG, with the remedy. Run it as "
           "the user that the programs run as.\n"
           "With --url or --probe it posts two events of the module candhook and the type doctor.probe through the web "
           "server, one of them of more than 128 KiB, and one event with a wrong secret. The two are recorded like any "
           "event. Where no handler takes all modules, their outcome is unhandled, which is fine. The URL is a secret, "
           "and every user of the machine can see an argument while the program starts: --url - and --probe avoid "
           "that.\n"
           "Exit status: 0 when nothing is wrong, 1 when something is. --quiet is fit for cron.",
};

/* Returns base_url with the secret that was made last, allocated; NULL when one of them is missing. */
static char *make_probe_url(const struct doctor *doctor)
{
    size_t count = doctor->secrets != NULL ? secrets_count(doctor->secrets) : 0;

    if (*doctor->conf->base_url == '\0' || count == 0)
        return NULL;
    return url_join(doctor->conf->base_url, secrets_text(doctor->secrets, count - 1));
}

static void probe_url(struct doctor *doctor, const struct doctor_options *options)
{
    char *url = url_argument_find(options->url);

    if (url == NULL && options->url == NULL)
        url = make_probe_url(doctor);
    if (url == NULL) {
        doctor_wrong(doctor, "URL", "there is none to post to: set base_url, give --url, or set CANDHOOK_URL");
        return;
    }
    doctor_probe(doctor, url);
    explicit_bzero(url, strlen(url));
    free(url);
}

static void run_checks(struct doctor *doctor, const struct doctor_options *options)
{
    doctor_ok(doctor, "configuration", "%s", doctor->conf->path);
    doctor_check_secrets(doctor);
    doctor_check_spool(doctor);
    doctor_check_files(doctor);
    doctor_check_database(doctor);
    doctor_check_work(doctor);
    doctor_check_install(doctor);
    doctor_check_console(doctor);
    doctor_check_tokens(doctor);
    if (options->url != NULL || options->probe)
        probe_url(doctor, options);
    doctor_free(doctor);
}

int verb_doctor(int argc, char **argv)
{
    struct doctor_options options = {.url = NULL};
    struct doctor doctor = {.out = stdout, .spool.folder = -1, .colour = isatty(STDOUT_FILENO) == 1};
    struct conf *conf;
    struct err err;

    argp_parse(&doctor_argp, argc, argv, 0, NULL, &options);
    doctor.quiet = options.quiet;
    if (conf_load(&conf, &err) == RESULT_OK) {
        doctor.conf = conf;
        run_checks(&doctor, &options);
        conf_free(conf);
    } else {
        doctor_wrong(&doctor, "configuration", "%s", err.text);
    }
    free(options.url);
    return doctor.wrong > 0 ? 1 : 0;
}
