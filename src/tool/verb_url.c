/*
 * SPDX-License-Identifier: ISC
 *
 * candhook url: makes, lists and retires the secrets that the webhook URL ends with. A whole secret is printed once, by
 * the `new` that makes it, and is never an argument.
 */
#include <config.h>

#include "base/clock.h"
#include "base/digest.h"
#include "conf/secrets_edit.h"
#include "http/url.h"
#include "spool/secret_use.h"
#include "spool/spool.h"
#include "tool/verb.h"
#include "tool/verb_begin.h"

#include <argp.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SECRET_RANDOM_BYTES 32

struct url_options {
    const char *action, *which, *label;
    bool force;
};

static const struct argp_option url_option_table[] = {
    {.name = "label",
     .key = 'l',
     .arg = "LABEL",
     .doc = "new: a name for the secret, which list shows and retire takes"},
    {.name = "force", .key = 'f', .doc = "retire: even the last secret, after which every event is refused"},
    {0},
};

static bool is_url_action(const char *text)
{
    return strcmp(text, "new") == 0 || strcmp(text, "list") == 0 || strcmp(text, "retire") == 0;
}

static void check_url_options(const struct url_options *options, struct argp_state *state)
{
    const char *action = options->action != NULL ? options->action : "";
    bool is_retire = strcmp(action, "retire") == 0;

    if (!is_url_action(action) || is_retire != (options->which != NULL))
        argp_usage(state);
    if (options->label != NULL && strcmp(action, "new") != 0)
        argp_error(state, "--label is an option of new");
    if (options->force && !is_retire)
        argp_error(state, "--force is an option of retire");
    if (options->label != NULL && !secrets_is_label(options->label))
        argp_error(state, "a label is 1 to %d characters of A-Z a-z 0-9 - _ . ~", SECRETS_LABEL_BYTES);
}

static error_t parse_url_option(int key, char *text, struct argp_state *state)
{
    struct url_options *options = state->input;

    if (key == 'l')
        options->label = text;
    else if (key == 'f')
        options->force = true;
    else if (key == ARGP_KEY_ARG && options->action == NULL)
        options->action = text;
    else if (key == ARGP_KEY_ARG && options->which == NULL)
        options->which = text;
    else if (key == ARGP_KEY_END)
        check_url_options(options, state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp url_argp = {
    .options = url_option_table,
    .parser = parse_url_option,
    .args_doc = "new [--label LABEL]\nlist\nretire LABEL-OR-BEGINNING [--force]",
    .doc =
        "Makes, lists and retires the secrets that the webhook URL ends with.\v"
        "new prints the URL for the App's settings; nothing shows it again. Several secrets may be valid at once: "
        "make a new one, change the URL in the settings, and retire the old secret when list shows that it is no "
        "longer used. Responders see a change without a restart. retire takes the label or the first characters, as "
        "list shows them, never the whole secret. The settings base_url and url_secrets are used.\n"
        "Exit status: 0; 65 when the file of secrets or the request is wrong; 75 when another process is changing the "
        "file.",
};

/* Opens the spool for reading the times of use. It does not check the owner as spool_open does: root may list the
 * secrets of any user. Returns -1 when there is no spool. */
static int open_spool_unchecked(const struct conf *conf)
{
    return open(conf->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- the three actions; each returns the exit status ---- */

static void print_url(const struct conf *conf, const char *secret)
{
    if (*conf->base_url != '\0') {
        char *url = url_join(conf->base_url, secret);

        puts(url);
        explicit_bzero(url, strlen(url));
        free(url);
        fprintf(stderr, "Paste this into the App's settings. It is a secret, and nothing shows it again.\n");
    } else {
        puts(secret);
        fprintf(stderr,
                "The setting base_url is not set, so this is the secret alone. The URL is the address at which the web "
                "server serves candhook, a slash, and the secret. Nothing shows it again.\n");
    }
}

/* Returns a new secret. None begins with a dash, or `url retire` would take its beginning for an option. */
static char *draw_secret(void)
{
    char *secret = NULL;

    do {
        free(secret);
        secret = digest_random_base64url(SECRET_RANDOM_BYTES);
    } while (*secret == '-');
    return secret;
}

static int make_secret(const char *verb, const struct conf *conf, const char *label)
{
    char *secret = draw_secret();
    struct err err;
    enum result result =
        secrets_add(conf->url_secrets, verb_file_owner(conf), secret, label != NULL ? label : "", &err);
    int status = EX_OK;

    if (result == RESULT_OK)
        print_url(conf, secret);
    else
        status = verb_fail_file(verb, result, &err);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return status;
}

static void print_secret(const struct secrets_about *about, int spool)
{
    time_t used_at = spool >= 0 ? secret_use_time(spool, about->name) : 0;
    const char *used = spool >= 0 ? "never" : "not known";
    char text[CLOCK_TEXT_BYTES];

    if (used_at != 0)
        used = clock_text_seconds((int64_t)used_at * 1000, text);
    printf("%-20s  %s...  %-20s  %s%s\n", *about->label != '\0' ? about->label : "(no label)", about->shown,
           *about->made != '\0' ? about->made : "not known", used,
           about->length < SECRETS_GOOD_BYTES ? "  (short: make a new one)" : "");
}

static int list_url_secrets(const char *verb, const struct conf *conf)
{
    struct secrets *secrets;
    struct err err;
    int spool;

    if (secrets_load_any(&secrets, conf->url_secrets, &err) != RESULT_OK)
        return verb_fail_file(verb, RESULT_FAIL, &err);
    spool = open_spool_unchecked(conf);
    if (secrets_count(secrets) == 0)
        printf("there is no secret, so every event is refused; make one: candhook url new\n");
    else
        printf("%-20s  %-7s  %-20s  %s\n", "label", "begins", "made", "last used");
    for (size_t i = 0; i < secrets_count(secrets); i++) {
        struct secrets_about about;

        secrets_tell(secrets, i, &about);
        print_secret(&about, spool);
    }
    secrets_free(secrets);
    if (spool >= 0)
        close(spool);
    return 0;
}

static int retire_secret(const char *verb, const struct conf *conf, const struct url_options *options)
{
    char name[SECRETS_NAME_BYTES];
    struct err err;
    enum result result = secrets_remove(conf->url_secrets, options->which, options->force, name, &err);
    int spool;

    if (result != RESULT_OK)
        return verb_fail_file(verb, result, &err);
    spool = open_spool_unchecked(conf);
    if (spool >= 0) {
        secret_use_forget(spool, name);
        close(spool);
    }
    puts("retired: from now on a POST to its URL is answered with 404");
    return 0;
}

int verb_url(int argc, char **argv)
{
    struct url_options options = {0};
    struct conf *conf;
    int status;

    argp_parse(&url_argp, argc, argv, 0, NULL, &options);
    status = verb_begin_conf(argv[0], &conf);
    if (status != EX_OK)
        return status;
    if (strcmp(options.action, "new") == 0)
        status = make_secret(argv[0], conf, options.label);
    else if (strcmp(options.action, "list") == 0)
        status = list_url_secrets(argv[0], conf);
    else
        status = retire_secret(argv[0], conf, &options);
    conf_free(conf);
    return status;
}
