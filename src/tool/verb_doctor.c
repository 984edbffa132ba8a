/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: looks at this installation as somebody would who knows it, and says what is wrong and what to do.
 * The checks are in doctor_*.c, a line each.
 */
#include <config.h>

#include "http/url.h"
#include "tool/doctor.h"
#include "tool/url_argument.h"
#include "tool/verb.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct options {
    char *url; /* as given */
    int probe, quiet;
};

static const struct argp_option option_table[] = {
    {"url", 'u', "URL", 0, "Post marked events to this URL, and follow them; - reads it from stdin", 0},
    {"probe", 'p', NULL, 0, "The same with CANDHOOK_URL, else with base_url and a secret of the file", 0},
    {"quiet", 'q', NULL, 0, "Print only what is wrong", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 'u' && options->url == NULL)
        options->url = url_argument_take(text);
    else if (key == 'u')
        argp_error(state, "one URL is enough");
    else if (key == 'p')
        options->probe = 1;
    else if (key == 'q')
        options->quiet = 1;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Looks at this installation, and says what is wrong and what to do about it.\v"
    "A line for each check: ok, note (somebody may want to know), or WRONG, with the remedy. Run it as the user that "
    "the "
    "programs run as.\n"
    "With --url or --probe it posts two events of the module candhook and the type doctor.probe through the web "
    "server, "
    "one of them of more than 128 KiB, and one with a wrong secret. The two are recorded as any event; where no "
    "handler "
    "takes all modules their outcome is unhandled, which is fine. The URL is a secret, and an argument can be seen by "
    "every user of the machine while the program starts: --url - and --probe avoid that.\n"
    "Exit status: 0 when nothing is wrong, 1 when something is. With --quiet fit for cron.",
    NULL,
    NULL,
    NULL};

/* ---- saying ---- */

__attribute__((format(printf, 5, 0))) static void say(const struct doctor *doctor, const char *word, const char *colour,
                                                      const char *subject, const char *format, va_list args)
{
    printf("%s%-6s%s %-14s ", doctor->colour ? colour : "", word, doctor->colour ? "\033[0m" : "", subject);
    vprintf(format, args);
    putchar('\n');
}

void doctor_ok(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!doctor->quiet)
        say(doctor, "ok", "\033[32m", subject, format, args);
    va_end(args);
}

void doctor_note(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!doctor->quiet)
        say(doctor, "note", "\033[33m", subject, format, args);
    va_end(args);
}

void doctor_wrong(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    doctor->wrong++;
    say(doctor, "WRONG", "\033[31m", subject, format, args);
    va_end(args);
}

/* ---- the URL ---- */

/* base_url and the secret that was made last. */
static char *make_url(const struct doctor *doctor)
{
    size_t count = doctor->secrets != NULL ? secrets_count(doctor->secrets) : 0;

    if (*doctor->conf->base_url == '\0' || count == 0)
        return NULL;
    return url_join(doctor->conf->base_url, secrets_text(doctor->secrets, count - 1));
}

static void probe(struct doctor *doctor, const struct options *options)
{
    char *url = url_argument_find(options->url);

    if (url == NULL && options->url == NULL)
        url = make_url(doctor);
    if (url == NULL)
        doctor_wrong(doctor, "URL", "there is none to post to: set base_url, give --url, or set CANDHOOK_URL");
    else
        doctor_probe(doctor, url);
    if (url != NULL)
        explicit_bzero(url, strlen(url));
    free(url);
}

/* ---- the round ---- */

static void examine(struct doctor *doctor, const struct options *options)
{
    doctor_ok(doctor, "configuration", "%s", doctor->conf->path);
    doctor_check_secrets(doctor);
    doctor_check_spool(doctor);
    doctor_check_files(doctor);
    doctor_check_database(doctor);
    doctor_check_work(doctor);
    if (options->url != NULL || options->probe)
        probe(doctor, options);
    store_free_facts(&doctor->facts);
    store_free(doctor->store);
    secrets_free(doctor->secrets);
    inspect_close(&doctor->look);
}

int verb_doctor(int argc, char **argv)
{
    struct options options = {0};
    struct doctor doctor = {.look.folder = -1, .colour = isatty(1)};
    struct conf *conf;
    struct err err;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    doctor.quiet = options.quiet;
    if (conf_load(&conf, &err) == RESULT_OK) {
        doctor.conf = conf;
        examine(&doctor, &options);
        conf_free(conf);
    } else {
        doctor_wrong(&doctor, "configuration", "%s", err.text);
    }
    free(options.url);
    return doctor.wrong > 0 ? 1 : 0;
}
