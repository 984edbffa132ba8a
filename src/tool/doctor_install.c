/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: whether communities can install the App in the browser. The pages themselves are the front's matter.
 */
#include <config.h>

#include "base/memory.h"
#include "base/private_file.h"
#include "http/http.h"
#include "http/oauth.h"
#include "http/scopes.h"
#include "http/url.h"
#include "tool/doctor.h"

#include <stdlib.h>
#include <string.h>

#define SUBJECT "installation"
#define REACH_MS 5000

static void ignore_wanted(void *context, const char *module, const char *type)
{
    (void)context;
    (void)module;
    (void)type;
}

/* Tries what candhook-web.fcgi does first, as its own user of the database. */
static void check_web_database(struct doctor *doctor)
{
    struct store *store;
    struct err err;

    if (*doctor->conf->web_database == '\0')
        return;
    store = store_new(doctor->conf->web_database);
    if (store_connect(store, true, &err) != RESULT_OK || store_wanted(store, ignore_wanted, NULL, &err) != RESULT_OK)
        doctor_wrong(doctor, SUBJECT, "%s: look at web_database in %s; its user needs the role candhook_web", err.text,
                     doctor->conf->path);
    store_free(store);
}

/* Asks the token URL something that it must refuse. */
static void check_token_url(struct doctor *doctor)
{
    const struct http_request request = {.method = "POST",
                                         .url = doctor->conf->token_url,
                                         .headers = {"Content-Type: application/x-www-form-urlencoded"},
                                         .body = "",
                                         .timeout_ms = REACH_MS,
                                         .status_only = true};
    struct http *http = http_new();
    struct http_answer answer;
    struct err err;

    if (http_send(http, &request, &answer, &err) == RESULT_OK) {
        if (answer.status == 404 || answer.status == 405)
            doctor_note(doctor, SUBJECT, "token_url in %s answers %d: is its path the one of the platform?",
                        doctor->conf->path, answer.status);
        http_answer_free(&answer);
    } else {
        doctor_wrong(doctor, SUBJECT, "%s: look at token_url in %s, and at the way from here to there", err.text,
                     doctor->conf->path);
    }
    http_free(http);
}

static void check_client_secret(struct doctor *doctor)
{
    struct err err;
    char *secret;

    if (private_file_read_secret(doctor->conf->client_secret, &secret, &err) == RESULT_OK)
        memory_free_secret(secret);
    else
        doctor_wrong(doctor, SUBJECT, "%s", err.text);
}

static void check_extra_scopes(struct doctor *doctor)
{
    struct scopes scopes = {0};
    bool bot = false;

    scopes_add_words(&scopes, doctor->conf->extra_scopes);
    for (size_t i = 0; i < scopes.count; i++)
        bot |= strncmp(scopes.names[i], "bot:", 4) == 0;
    if (!bot)
        doctor_note(doctor, SUBJECT,
                    "extra_scopes in %s has no scope that begins with bot: the platform gives no bot "
                    "token then",
                    doctor->conf->path);
    scopes_free(&scopes);
}

static void check_redirect_uri(struct doctor *doctor)
{
    const char *uri = doctor->conf->redirect_uri;
    char *url = oauth_install_url(uri);

    if (url == NULL)
        doctor_wrong(doctor, SUBJECT, "redirect_uri is %s: it must end with /callback, as it is mounted", uri);
    else if (strncmp(uri, "https:", 6) != 0 && !url_is_local(uri))
        doctor_wrong(doctor, SUBJECT, "redirect_uri is %s: without https everybody on the way reads the codes", uri);
    else
        doctor_ok(doctor, SUBJECT, "communities install the App at %s", url);
    free(url);
}

void doctor_check_install(struct doctor *doctor)
{
    const struct conf *conf = doctor->conf;

    if (*conf->client_id == '\0' && *conf->redirect_uri == '\0') {
        doctor_ok(doctor, SUBJECT, "not set up: bot tokens are stored by hand");
        return;
    }
    if (*conf->client_id == '\0' || *conf->redirect_uri == '\0') {
        doctor_wrong(doctor, SUBJECT, "%s is not set: give it in %s, as it stands in the App's settings",
                     *conf->client_id == '\0' ? "client_id" : "redirect_uri", conf->path);
        return;
    }
    check_redirect_uri(doctor);
    check_client_secret(doctor);
    check_extra_scopes(doctor);
    check_web_database(doctor);
    check_token_url(doctor);
}
