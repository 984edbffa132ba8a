/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: events through the public URL, followed to their outcome. They are ordinary events of the module
 * candhook and the type doctor.probe, marked by a payload id that nobody else can have. The URL is a secret: nothing
 * that is said has more of it than scheme and host.
 */
#include <config.h>

#include "base/clock.h"
#include "base/digest.h"
#include "http/http.h"
#include "http/url.h"
#include "tool/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define FOLLOW_MS 15000
#define LOOK_EVERY_MS 50
#define CLOCKS_MS 60000 /* the machine that answers may be another one, and its clock a little behind */
#define FCGID_LIMIT 131072

struct probe {
    struct doctor *doctor;
    struct http *http;
    const char *url;
    char *place; /* scheme and host */
};

static char *must(char *text)
{
    if (text == NULL)
        abort();
    return text;
}

/* The body of a marked event, allocated, of at least SIZE bytes. */
static char *make_body(const char *id, size_t size)
{
    char *padding = must(malloc(size + 1)), *body;

    memset(padding, 'x', size);
    padding[size] = '\0';
    if (asprintf(&body,
                 "{\"module\":\"candhook\",\"type\":\"doctor.probe\",\"context\":{},"
                 "\"payload\":{\"id\":\"%s\",\"padding\":\"%s\"}}",
                 id, padding) < 0)
        abort();
    free(padding);
    return body;
}

/* Posts and says what went wrong if there was no answer: then 0, else the status. */
static int post(struct probe *probe, const char *url, const char *body, const char *what, double *seconds)
{
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = {"Content-Type: application/json"},
                                         .body = body,
                                         .body_length = strlen(body),
                                         .timeout_ms = ANSWER_MS};
    struct http_answer answer;
    struct err err;
    int status;

    if (http_send(probe->http, &request, &answer, &err) != RESULT_OK) {
        doctor_wrong(probe->doctor, what, "%s: check the URL, the name, the certificate, and that the web server runs",
                     err.text);
        return 0;
    }
    status = answer.status;
    *seconds = answer.seconds;
    http_answer_free(&answer);
    return status;
}

/* Where the last segment of the path begins: the secret. */
static const char *secret_of(const char *url)
{
    size_t length = strcspn(url, "?#");
    const char *slash = memrchr(url, '/', length);

    return slash != NULL ? slash + 1 : url;
}

static int knows_secret(const struct probe *probe)
{
    return probe->doctor->secrets != NULL && secrets_match(probe->doctor->secrets, probe->url) != NULL;
}

/* ---- a stranger's guess ---- */

static void try_wrong_secret(struct probe *probe)
{
    char *guess = digest_random_base64url(32), *url, *body = make_body("doctor", 0);
    double seconds;
    int status;

    if (asprintf(&url, "%.*s%s", (int)(secret_of(probe->url) - probe->url), probe->url, guess) < 0)
        abort();
    status = post(probe, url, body, "wrong secret", &seconds);
    if (status == 404)
        doctor_ok(probe->doctor, "wrong secret", "is answered with 404");
    else if (status != 0)
        doctor_wrong(probe->doctor, "wrong secret",
                     "is answered with %d and not with 404: something else than candhook answers at %s", status,
                     probe->place);
    explicit_bzero(url, strlen(url));
    free(url);
    free(body);
    free(guess);
}

/* ---- the answer to an event ---- */

static const char *meaning(const struct probe *probe, int status)
{
    if (status >= 300 && status < 400)
        return "a redirection, which canD may not follow: give it the address where that ends (https, www, no slash)";
    switch (status) {
    case 400:
        return "the body did not arrive whole: look at the front's configuration";
    case 401:
    case 403:
        return "the web server asks for more than the secret: take that away for this path";
    case 404:
        return knows_secret(probe) ? "the web server does not hand this path to candhook, or to another installation"
                                   : "the URL's last segment is no secret of this installation: candhook url list";
    case 405:
        return "the web server does not let POST through";
    case 413:
        return "the web server, or max_body, does not take such a body";
    case 500:
        return "candhook.fcgi does not start, or ended: the web server's error log says more";
    case 502:
    case 504:
        return "candhook.fcgi does not run behind the web server";
    case 503:
        return "the body could not be made durable, or the web server is overloaded: the log says which";
    default:
        return "something else than candhook answers there";
    }
}

/* ---- following it ---- */

static const char *seconds_since(int64_t start, char text[32])
{
    snprintf(text, 32, "%.2f s", (double)(clock_monotonic_ms() - start) / 1000);
    return text;
}

/* Asks until the event is there, and nothing of it is unfinished. Returns 0 when the database cannot be asked. */
static int follow(struct doctor *doctor, const char *id, int64_t since, int64_t start, struct store_probe *found)
{
    int64_t end = start + FOLLOW_MS;
    char after[32];
    int said = 0;
    struct err err;

    for (;;) {
        if (store_probe(doctor->store, since, id, found, &err) != RESULT_OK) {
            doctor_wrong(doctor, "recording", "cannot be followed: %s", err.text);
            return 0;
        }
        if (found->recorded && !said++)
            doctor_ok(doctor, "recording", "took %s", seconds_since(start, after));
        if ((found->recorded && found->unfinished == 0) || clock_monotonic_ms() > end)
            return 1;
        usleep(LOOK_EVERY_MS * 1000);
    }
}

static void tell_outcome(struct doctor *doctor, const char *id, int64_t since, int64_t start)
{
    struct store_probe found;
    char after[32];

    if (!follow(doctor, id, since, start, &found))
        return;
    if (!found.recorded)
        doctor_wrong(doctor, "recording",
                     "the event was answered with 200, and is not in this database after %d s: the worker does not "
                     "record (see above), or another installation answers at this URL",
                     FOLLOW_MS / 1000);
    else if (found.failed > 0)
        doctor_note(doctor, "outcome", "%s: a handler for all events (*) took the probe, and did not like it",
                    found.outcomes);
    else if (found.unfinished > 0)
        doctor_note(doctor, "outcome",
                    "%lu deliveries are not finished after %d s: other work comes first, they are "
                    "held for a token, or they are to be tried again",
                    found.unfinished, FOLLOW_MS / 1000);
    else
        doctor_ok(doctor, "outcome", "%s, after %s", found.outcomes, seconds_since(start, after));
}

/* Whether the event was answered with 200. */
static int try_event(struct probe *probe)
{
    char *id = digest_random_base64url(16), *body = make_body(id, 0);
    int64_t since = clock_real_ms() - CLOCKS_MS, start = clock_monotonic_ms();
    double seconds = 0;
    int status = post(probe, probe->url, body, "event", &seconds);

    if (status == 200)
        doctor_ok(probe->doctor, "event", "answered with 200 in %.2f s", seconds);
    else if (status != 0)
        doctor_wrong(probe->doctor, "event", "is answered with %d: %s", status, meaning(probe, status));
    if (status == 200 && probe->doctor->store != NULL)
        tell_outcome(probe->doctor, id, since, start);
    free(body);
    free(id);
    return status == 200;
}

static void try_large_event(struct probe *probe)
{
    char *id = digest_random_base64url(16), *body = make_body(id, FCGID_LIMIT);
    double seconds;
    int status = 0;

    if (strlen(body) > probe->doctor->conf->max_body)
        doctor_note(probe->doctor, "large event", "not tried: max_body is less than 128 KiB");
    else
        status = post(probe, probe->url, body, "large event", &seconds);
    if (status == 200)
        doctor_ok(probe->doctor, "large event", "of more than 128 KiB, answered with 200");
    else if (status != 0)
        doctor_wrong(probe->doctor, "large event",
                     "a body of more than 128 KiB is answered with %d: mod_fcgid refuses it unless the server's "
                     "configuration has FcgidMaxRequestLen (no .htaccess may), others have limits of their own "
                     "(nginx: client_max_body_size). Raise it to more than max_body, or ask whoever runs the server",
                     status);
    free(body);
    free(id);
}

void doctor_probe(struct doctor *doctor, const char *url)
{
    struct probe probe = {.doctor = doctor, .url = url};
    struct err err;

    if (url_server(url, &probe.place, &err) != RESULT_OK) {
        doctor_wrong(doctor, "URL", "%s", err.text);
        return;
    }
    probe.http = http_new();
    if (strncmp(url, "https://", 8) != 0 && !url_is_local(url))
        doctor_note(doctor, "URL", "%s is not https: the secret travels in clear", probe.place);
    try_wrong_secret(&probe);
    if (try_event(&probe))
        try_large_event(&probe);
    http_free(probe.http);
    free(probe.place);
}
