/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: events through the public URL, followed to their outcome. They are ordinary events of the module
 * candhook and the type doctor.probe, marked by a random payload id. The URL is a secret: no message shows
 * more of it than scheme and host.
 */
#include <config.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/memory.h"
#include "event/json_write.h"
#include "http/http.h"
#include "http/url.h"
#include "tool/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define FOLLOW_MS 15000
#define ASK_EVERY_MS 50
#define CLOCKS_MS 60000    /* the responder may run on another machine, whose clock is a little behind */
#define FCGID_LIMIT 131072 /* default FcgidMaxRequestLen of mod_fcgid, in bytes */

struct probe {
    struct doctor *doctor;
    struct http *http;
    const char *url;
    char *server; /* scheme, host and port: what may be shown */
};

/* Returns the body of an event marked by ID, of at least SIZE bytes, allocated. */
static char *make_probe_body(const char *id, size_t size)
{
    struct json_writer *writer = json_write_new();
    char *padding = memory_new(size + 1, 1);

    memset(padding, 'x', size);
    json_write_text(writer, "module", "candhook");
    json_write_text(writer, "type", "doctor.probe");
    json_write_object(writer, "context");
    json_write_close(writer);
    json_write_object(writer, "payload");
    json_write_text(writer, "id", id);
    json_write_text(writer, "padding", padding);
    free(padding);
    return json_write_finish(writer);
}

/* Posts an event. Returns the status of the answer, 0 when there was none, which is reported as WRONG of CHECK. */
static int post_probe(struct probe *probe, const char *url, const char *body, const char *check, double *seconds)
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
        doctor_wrong(probe->doctor, check, "%s: check the URL, the name, the certificate, and that the web server runs",
                     err.text);
        return 0;
    }
    status = answer.status;
    *seconds = answer.seconds;
    http_answer_free(&answer);
    return status;
}

/* Returns the last segment of the path: the secret. */
static const char *find_url_secret(const char *url)
{
    size_t length = strcspn(url, "?#");
    const char *slash = memrchr(url, '/', length);

    return slash != NULL ? slash + 1 : url;
}

static bool url_has_our_secret(const struct probe *probe)
{
    return probe->doctor->secrets != NULL && secrets_match(probe->doctor->secrets, probe->url) != NULL;
}

/* ---- a wrong secret ---- */

static void try_wrong_secret(struct probe *probe)
{
    char *guess = digest_random_base64url(32), *body = make_probe_body("doctor", 0), *url;
    double seconds;
    int status;

    url = memory_format("%.*s%s", (int)(find_url_secret(probe->url) - probe->url), probe->url, guess);
    status = post_probe(probe, url, body, "wrong secret", &seconds);
    if (status == 404)
        doctor_ok(probe->doctor, "wrong secret", "is answered with 404");
    else if (status != 0)
        doctor_wrong(probe->doctor, "wrong secret",
                     "is answered with %d and not with 404: something else than candhook answers at %s", status,
                     probe->server);
    explicit_bzero(url, strlen(url));
    free(url);
    free(body);
    free(guess);
}

/* ---- the answer to an event ---- */

/* Returns what a status other than 200 means, and what to do. */
static const char *explain_status(const struct probe *probe, int status)
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
        return url_has_our_secret(probe)
                   ? "the web server does not pass this path to candhook, or passes it to another installation"
                   : "the last segment of the URL is not a secret of this installation: candhook url list";
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

/* ---- the outcome of an event ---- */

static const char *seconds_since(int64_t start, char text[32])
{
    snprintf(text, 32, "%.2f s", (double)(clock_monotonic_ms() - start) / 1000);
    return text;
}

/* Asks until the event is recorded and all its deliveries are settled. Returns false when the database cannot be asked.
 */
static bool follow_probe(struct doctor *doctor, const char *id, int64_t since, int64_t start, struct store_probe *found)
{
    int64_t end = start + FOLLOW_MS;
    char after[32];
    bool reported = false;
    struct err err;

    for (;;) {
        if (store_probe(doctor->store, since, id, found, &err) != RESULT_OK) {
            doctor_wrong(doctor, "recording", "cannot be followed: %s", err.text);
            return false;
        }
        if (found->recorded && !reported)
            doctor_ok(doctor, "recording", "took %s", seconds_since(start, after));
        reported = found->recorded;
        if ((found->recorded && found->unfinished == 0) || clock_monotonic_ms() > end)
            return true;
        usleep(ASK_EVERY_MS * 1000);
    }
}

static void report_probe_outcome(struct doctor *doctor, const char *id, int64_t since, int64_t start)
{
    struct store_probe found;
    char after[32];

    if (!follow_probe(doctor, id, since, start, &found))
        return;
    if (!found.recorded)
        doctor_wrong(doctor, "recording",
                     "the event was answered with 200, but is not in this database after %d s: the worker does not "
                     "record (see above), or another installation answers at this URL",
                     FOLLOW_MS / 1000);
    else if (found.failed > 0)
        doctor_note(doctor, "outcome", "%s: a handler for all events (*) took the probe and failed", found.outcomes);
    else if (found.unfinished > 0)
        doctor_note(doctor, "outcome",
                    "%lu deliveries are not finished after %d s: other work comes first, they are "
                    "held for a token, or they wait for a retry",
                    found.unfinished, FOLLOW_MS / 1000);
    else
        doctor_ok(doctor, "outcome", "%s, after %s", found.outcomes, seconds_since(start, after));
}

/* Posts an event and follows it. Returns whether it was answered with 200. */
static bool try_event(struct probe *probe)
{
    char *id = digest_random_base64url(16), *body = make_probe_body(id, 0);
    int64_t since = clock_real_ms() - CLOCKS_MS, start = clock_monotonic_ms();
    double seconds = 0;
    int status = post_probe(probe, probe->url, body, "event", &seconds);

    if (status == 200)
        doctor_ok(probe->doctor, "event", "answered with 200 in %.2f s", seconds);
    else if (status != 0)
        doctor_wrong(probe->doctor, "event", "is answered with %d: %s", status, explain_status(probe, status));
    if (status == 200 && probe->doctor->store != NULL)
        report_probe_outcome(probe->doctor, id, since, start);
    free(body);
    free(id);
    return status == 200;
}

static void try_large_event(struct probe *probe)
{
    char *id = digest_random_base64url(16), *body = make_probe_body(id, FCGID_LIMIT);
    double seconds;
    int status = 0;

    if (strlen(body) > probe->doctor->conf->max_body)
        doctor_note(probe->doctor, "large event", "not tried: max_body is less than 128 KiB");
    else
        status = post_probe(probe, probe->url, body, "large event", &seconds);
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

    if (url_server(url, &probe.server, &err) != RESULT_OK) {
        doctor_wrong(doctor, "URL", "%s", err.text);
        return;
    }
    probe.http = http_new();
    if (strncmp(url, "https://", 8) != 0 && !url_is_local(url))
        doctor_note(doctor, "URL", "%s is not https: the secret travels in clear", probe.server);
    try_wrong_secret(&probe);
    if (try_event(&probe))
        try_large_event(&probe);
    http_free(probe.http);
    free(probe.server);
}
