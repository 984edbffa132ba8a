/*
 * SPDX-License-Identifier: ISC
 *
 * What must stay true: no cookie opens a session but one that this host has sealed; a site beside ours cannot put one
 * into the browser where there is https (__Host-); no action is done for a page that is not ours.
 */
#include <config.h>

#include "web/session.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "web/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SESSION_SECONDS (8 * 60 * 60)
#define COOKIE_NAME "candhook-console"
#define COOKIE_HOST_NAME "__Host-" COOKIE_NAME /* no other host of the domain can set it; over https only */
#define PURPOSE "console"
#define REFUSED_MS 1000 /* after a try that failed none is looked at for so long */
#define TRY_WAIT_MS 300
#define TRY_RETRY_MS 20

/* ---- cookies ---- */

/* A front behind one that ends TLS says http; then the browser knows better. */
static bool is_secure(const struct web_request *request)
{
    return strcmp(request->scheme, "https") == 0 || strncmp(request->origin, "https://", 8) == 0;
}

/* Returns the session's cookie, allocated; NULL when there is none. */
static char *find_session_cookie(const struct web_request *request)
{
    char *cookie = web_request_cookie(request, COOKIE_HOST_NAME);

    return cookie != NULL || strcmp(request->scheme, "https") == 0 ? cookie : web_request_cookie(request, COOKIE_NAME);
}

static char *make_session_cookie(const struct web_request *request, const char *value, int seconds)
{
    bool secure = is_secure(request);

    return memory_format("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                         secure ? COOKIE_HOST_NAME : COOKIE_NAME, value, seconds, secure ? "; Secure" : "");
}

char *session_log_out(const struct web_request *request)
{
    return make_session_cookie(request, "", 0);
}

/* ---- sessions ---- */

static char *make_action(const char *key, const char *cookie)
{
    char *text = memory_format(PURPOSE "-action.%s", cookie), *action = digest_hmac_base64url(key, text);

    memory_free_secret(text);
    return action;
}

void session_find(const struct conf *conf, const char *key, const struct web_request *request, struct session *session)
{
    char *cookie = find_session_cookie(request);
    char *text = cookie != NULL ? seal_open(key, PURPOSE, cookie, time(NULL)) : NULL;
    char *dot = text != NULL ? strchr(text, '.') : NULL; /* FINGERPRINT.NAME; a name may have dots */
    struct err err;

    *session = (struct session){.cookie = cookie};
    if (dot != NULL) {
        *dot = '\0';
        if (web_users_find(conf->web_users, dot + 1, &session->user, &err) != RESULT_OK)
            log_error("console=closed reason=%s", err.text); /* and nobody was found */
        if (!digest_equal(session->user.fingerprint, text))
            session->user = (struct web_user){.name = ""};
    }
    if (*session->user.name != '\0')
        session->action = make_action(key, cookie);
    memory_free_secret(text);
}

void session_free(struct session *session)
{
    memory_free_secret(session->cookie);
    memory_free_secret(session->action);
    *session = (struct session){.cookie = NULL};
}

bool session_may_ask(const struct web_request *request)
{
    return *request->fetch_site == '\0' || strcmp(request->fetch_site, "same-origin") == 0 ||
           strcmp(request->fetch_site, "none") == 0; /* a person has typed the address */
}

bool session_is_from_here(const struct web_request *request)
{
    const char *host = strstr(request->origin, "://");

    if (*request->fetch_site != '\0')
        return strcmp(request->fetch_site, "same-origin") == 0;
    return host != NULL && *request->host != '\0' && strcmp(host + 3, request->host) == 0;
}

/* ---- tries: one at a time, and none for a second after one that failed; a file beside the key remembers ---- */

/* What is remembered, as `FAILURES MILLISECONDS`: the number of failures since the last success, and when the last one
 * was. */
struct tries {
    int fd;
    unsigned failures;
    int64_t failed_ms; /* since 1970; 0: never */
};

static enum result open_tries(const char *key_path, struct tries *tries, struct err *err)
{
    char *path = memory_format("%s.tries", key_path);

    *tries = (struct tries){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (tries->fd < 0)
        err_set_errno(err, "cannot open %s", path);
    free(path);
    return tries->fd >= 0 ? RESULT_OK : RESULT_FAIL;
}

static void read_tries(struct tries *tries)
{
    char text[64] = "", *end;

    if (pread(tries->fd, text, sizeof text - 1, 0) <= 0)
        return;
    tries->failures = (unsigned)strtoul(text, &end, 10);
    tries->failed_ms = strtoll(end, NULL, 10);
}

/* A count that cannot be kept, on a full disk, hinders no log-in. */
static void write_tries(const struct tries *tries)
{
    char *text = memory_format("%u %" PRId64 "\n", tries->failures, tries->failed_ms);
    ssize_t length = (ssize_t)strlen(text);

    if (ftruncate(tries->fd, 0) != 0 || pwrite(tries->fd, text, (size_t)length, 0) != length)
        log_warning("console=tries reason=%s effect=\"failed log-ins are not counted\"", strerror(errno));
    free(text);
}

/* Whether one has failed within the last second. Nobody waits here: a process that waits is one that serves nobody. */
static bool is_too_early(struct tries *tries)
{
    int64_t now = clock_real_ms();

    read_tries(tries);
    return tries->failed_ms <= now && now - tries->failed_ms < REFUSED_MS;
}

/* Waits for those before us for as long as they may need to look at a password. */
static bool lock_tries(const struct tries *tries)
{
    int64_t deadline = clock_monotonic_ms() + TRY_WAIT_MS;

    while (!lock_take(tries->fd)) {
        if (clock_monotonic_ms() >= deadline)
            return false;
        signals_poll(NULL, 0, TRY_RETRY_MS);
    }
    return true;
}

/* ---- log-in ---- */

/* Notes a failure. The log has no name that is no user's: it may be a password in the wrong field. */
static void note_failure(const struct conf *conf, struct tries *tries, const char *name)
{
    struct web_user known;
    struct err ignored;
    bool is_known = web_users_find(conf->web_users, name, &known, &ignored) == RESULT_OK && *known.name != '\0';

    tries->failures++;
    tries->failed_ms = clock_real_ms();
    write_tries(tries);
    log_warning("console=refused user=%s failures=%d", is_known ? known.name : "unknown", (int)tries->failures);
}

/* Looks at NAME and PASSWORD, while nobody else does. */
static enum session_login try_password(const struct conf *conf, struct tries *tries, const char *name,
                                       const char *password, struct web_user *user, struct err *err)
{
    if (web_users_check(conf->web_users, name, password, user, err) != RESULT_OK)
        return SESSION_BROKEN;
    if (*user->name == '\0') {
        note_failure(conf, tries, name);
        return SESSION_REFUSED;
    }
    if (tries->failures > 0)
        write_tries(&(struct tries){.fd = tries->fd});
    return SESSION_OPENED;
}

static void open_session(const char *key, const struct web_request *request, struct session *session)
{
    char *text = memory_format("%s.%s", session->user.fingerprint, session->user.name);
    char *sealed = seal_close(key, PURPOSE, text, time(NULL) + SESSION_SECONDS);

    session->cookie = make_session_cookie(request, sealed, SESSION_SECONDS);
    session->action = make_action(key, sealed);
    log_info("console=opened user=%s", session->user.name);
    memory_free_secret(sealed);
    memory_free_secret(text);
}

enum session_login session_log_in(const struct conf *conf, const char *key, const struct web_request *request,
                                  struct session *session, unsigned *failures, struct err *err)
{
    char *name = web_request_field(request, "name"), *password = web_request_field(request, "password");
    enum session_login login;
    struct tries tries;

    *session = (struct session){.cookie = NULL};
    if (open_tries(conf->web_key, &tries, err) != RESULT_OK)
        login = SESSION_BROKEN;
    else if (is_too_early(&tries) || !lock_tries(&tries) || is_too_early(&tries))
        login = SESSION_BUSY;
    else
        login =
            try_password(conf, &tries, name != NULL ? name : "", password != NULL ? password : "", &session->user, err);
    *failures = tries.failures;
    if (login == SESSION_OPENED)
        open_session(key, request, session);
    if (tries.fd >= 0)
        close(tries.fd);
    memory_free_secret(password);
    free(name);
    return login;
}
