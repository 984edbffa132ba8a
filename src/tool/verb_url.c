/*
 * SPDX-License-Identifier: ISC
 *
 * candhook url: makes, lists and retires the secrets that the webhook URL ends in. A whole secret is shown once, by the
 * `new` that makes it, and is never an argument.
 */
#include <config.h>

#include "base/digest.h"
#include "conf/secrets_edit.h"
#include "http/url.h"
#include "spool/secret_use.h"
#include "spool/spool.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SECRET_RANDOM_BYTES 32

struct options {
    const char *action, *which, *label;
    int force;
};

static const struct argp_option option_table[] = {
    {"label", 'l', "LABEL", 0, "new: a name for the secret, which you will know it by", 0},
    {"force", 'f', NULL, 0, "retire: the last secret, too, so that every event is refused", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static int is_action(const char *text)
{
    return strcmp(text, "new") == 0 || strcmp(text, "list") == 0 || strcmp(text, "retire") == 0;
}

static void check_options(const struct options *options, struct argp_state *state)
{
    int retire = options->action != NULL && strcmp(options->action, "retire") == 0;

    if (options->action == NULL || !is_action(options->action) || retire != (options->which != NULL))
        argp_usage(state);
    if (options->label != NULL && strcmp(options->action, "new") != 0)
        argp_error(state, "--label belongs to new");
    if (options->force && !retire)
        argp_error(state, "--force belongs to retire");
    if (options->label != NULL && !secrets_is_label(options->label))
        argp_error(state, "a label is 1 to %d characters of A-Z a-z 0-9 - _ . ~", SECRETS_LABEL_BYTES);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 'l')
        options->label = text;
    else if (key == 'f')
        options->force = 1;
    else if (key == ARGP_KEY_ARG && options->action == NULL)
        options->action = text;
    else if (key == ARGP_KEY_ARG && options->which == NULL)
        options->which = text;
    else if (key == ARGP_KEY_END)
        check_options(options, state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    "new [--label LABEL]\nlist\nretire LABEL-OR-BEGINNING [--force]",
    "Makes, lists and retires the secrets that the webhook URL ends in.\v"
    "new prints the URL to paste into canD's settings; nothing shows it again. Several secrets are live at once: make "
    "a "
    "new one, change the URL in the settings, and retire the old one when nothing comes in by it any more. A responder "
    "sees a change without a restart. retire takes the label or the first characters as list shows them, never the "
    "secret. The settings base_url and url_secrets are used.",
    NULL,
    NULL,
    NULL};

/* The spool's folder, only to look: root looks into the one of any user. -1: none. */
static int look_at_spool(const struct conf *conf)
{
    return open(conf->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Whose a new file of secrets is to be: whoever the spool belongs to runs the programs. */
static uid_t owner_of_new(const struct conf *conf)
{
    struct stat st;

    return stat(conf->spool, &st) == 0 ? st.st_uid : geteuid();
}

/* What is refused here is refused for what the person gave, or for how the file is. */
static int fail(const char *verb, enum result result, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", verb, err->text);
    return result == RESULT_RETRY ? EX_TEMPFAIL : EX_DATAERR;
}

/* ---- the three actions; each returns the exit status ---- */

static void print_url(const struct conf *conf, const char *secret)
{
    if (*conf->base_url != '\0') {
        char *url = url_join(conf->base_url, secret);

        puts(url);
        explicit_bzero(url, strlen(url));
        free(url);
        fprintf(stderr, "Paste this into the App's settings. It is a secret, and is not shown again.\n");
    } else {
        printf("%s\n", secret);
        fprintf(stderr,
                "The setting base_url is not made, so this is the secret alone: the URL is where the web server mounts "
                "candhook, a slash, and this. It is not shown again.\n");
    }
}

static int make(const char *verb, const struct conf *conf, const char *label)
{
    char *secret = digest_random_base64url(SECRET_RANDOM_BYTES);
    struct err err;
    enum result result = secrets_add(conf->url_secrets, owner_of_new(conf), secret, label != NULL ? label : "", &err);
    int status = 0;

    if (result == RESULT_OK)
        print_url(conf, secret);
    else
        status = fail(verb, result, &err);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return status;
}

static void print_one(const struct secrets_about *about, int spool)
{
    time_t used = spool >= 0 ? secret_use_time(spool, about->name) : 0;
    char when[32] = "never";
    struct tm utc;

    if (spool < 0)
        strcpy(when, "not known");
    if (used != 0)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&used, &utc));
    printf("%-20s  %s...  %-20s  %s%s\n", *about->label != '\0' ? about->label : "(no label)", about->shown,
           *about->made != '\0' ? about->made : "not known", when,
           about->length < SECRETS_GOOD_BYTES ? "  (short: make a new one)" : "");
}

static int list(const char *verb, const struct conf *conf)
{
    struct secrets *secrets;
    struct err err;
    int spool;

    if (secrets_load_any(&secrets, conf->url_secrets, &err) != RESULT_OK)
        return fail(verb, RESULT_FAIL, &err);
    spool = look_at_spool(conf);
    if (secrets_count(secrets) == 0)
        printf("there is no secret, and every event is refused; make one: candhook url new\n");
    else
        printf("%-20s  %-7s  %-20s  %s\n", "label", "begins", "made", "last used");
    for (size_t i = 0; i < secrets_count(secrets); i++) {
        struct secrets_about about;

        secrets_tell(secrets, i, &about);
        print_one(&about, spool);
    }
    secrets_free(secrets);
    if (spool >= 0)
        close(spool);
    return 0;
}

static int retire(const char *verb, const struct conf *conf, const struct options *options)
{
    char name[SECRETS_NAME_BYTES];
    struct err err;
    enum result result = secrets_remove(conf->url_secrets, options->which, options->force, name, &err);
    int spool;

    if (result != RESULT_OK)
        return fail(verb, result, &err);
    spool = look_at_spool(conf);
    if (spool >= 0) {
        secret_use_forget(spool, name);
        close(spool);
    }
    printf("retired: a POST to its URL is answered with 404 from now on\n");
    return 0;
}

int verb_url(int argc, char **argv)
{
    struct options options = {0};
    struct conf *conf;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    status = verb_begin_conf(argv[0], &conf);
    if (status != 0)
        return status;
    if (strcmp(options.action, "new") == 0)
        status = make(argv[0], conf, options.label);
    else if (strcmp(options.action, "list") == 0)
        status = list(argv[0], conf);
    else
        status = retire(argv[0], conf, &options);
    conf_free(conf);
    return status;
}
