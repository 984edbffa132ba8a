/*
 * SPDX-License-Identifier: ISC
 *
 * What must stay true: without a session nothing is told but the page itself; nothing is done but by a POST of our own
 * page that shows the session's action token. What may be seen and done is decided by the schema (sql/console/).
 */
#include <config.h>

#include "web/console.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "event/json_write.h"
#include "http/oauth.h"
#include "status/status_json.h"
#include "store/store.h"
#include "web/console_files.h"
#include "web/session.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_MS 5000 /* longest time of a question to the database */
#define ACT_MS 30000 /* and of an action */
#define SERVER_SAYS "ERROR:  "
#define AWAY "the database cannot be reached, or did not understand"
#define AWAY_REMEDY "Whoever runs the App finds the reason in the log of candhook-web.fcgi."

/* A request for the API. */
struct console_call {
    const struct conf *conf;
    const char *key;
    const char *name; /* behind api/ */
    const struct web_request *request;
    struct session session;
    struct web_answer *answer;
};

/* ---- the page ---- */

static const char *type_of_file(const char *name)
{
    const char *dot = strrchr(name, '.');

    return strcmp(dot, ".css") == 0  ? "text/css; charset=utf-8"
           : strcmp(dot, ".js") == 0 ? "text/javascript; charset=utf-8"
                                     : "text/html; charset=utf-8";
}

static void answer_file(const char *path, struct web_answer *answer)
{
    const char *name = *path != '\0' ? path : "console.html";

    for (const struct console_file *file = console_files; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0) {
            web_answer_bytes(answer, type_of_file(name), file->bytes, file->length);
            answer->runs_script = true;
            return;
        }
    }
    web_answer_error(answer, 404, "there is nothing of this name", NULL);
}

/* ---- sessions ---- */

static void answer_session(struct console_call *call, unsigned failures)
{
    struct json_writer *json = json_write_new();
    const struct web_user *user = &call->session.user;
    char *install_url = oauth_install_url(call->conf->redirect_uri);

    if (*user->name == '\0') {
        json_write_null(json, "user");
    } else {
        json_write_text(json, "user", user->name);
        json_write_bool(json, "read_only", user->read_only);
        json_write_text(json, "action", call->session.action);
        json_write_text(json, "version", PACKAGE_VERSION);
        json_write_text(json, "install_url", install_url);
        json_write_integer(json, "failures", failures);
    }
    web_answer_json(call->answer, 200, json_write_finish(json));
    free(install_url);
}

static void log_in(struct console_call *call)
{
    unsigned failures;
    struct err err;
    struct session opened;
    enum session_login login = session_log_in(call->conf, call->key, call->request, &opened, &failures, &err);

    session_free(&call->session);
    call->session = opened;
    switch (login) {
    case SESSION_OPENED:
        call->answer->cookie = memory_copy_text(opened.cookie);
        answer_session(call, failures);
        break;
    case SESSION_REFUSED:
        web_answer_error(call->answer, 401, "there is no user of this name and password",
                         "Whoever runs the App makes one: candhook web-user add NAME.");
        break;
    case SESSION_BUSY:
        web_answer_error(call->answer, 429, "somebody has just tried in vain, and one try is looked at each second",
                         "Try again in a second.");
        break;
    default:
        log_error("console=closed reason=%s", err.text);
        web_answer_error(call->answer, 503, "nobody can log in at the moment", AWAY_REMEDY);
    }
}

static void log_out(struct console_call *call)
{
    call->answer->cookie = session_log_out(call->request);
    web_answer_json(call->answer, 200, memory_copy_text("{\"user\":null}"));
}

/* ---- the database ---- */

static void tell_failure(struct console_call *call, const struct err *err)
{
    log_error("console=failed path=%s reason=%s", call->name, err->text);
    web_answer_error(call->answer, 503, AWAY, AWAY_REMEDY);
}

static enum result begin_store(struct store *store, int milliseconds, struct err *err)
{
    enum result result = store_connect(store, true, err);

    return result == RESULT_OK ? store_begin(store, milliseconds, err) : result;
}

/* Asks the database with a JSON object. */
static void ask_database(struct console_call *call, const char *asked, int milliseconds)
{
    const struct web_user *user = &call->session.user;
    struct store_question question = {call->name, asked, user->name, !user->read_only};
    struct store *store = store_new(conf_read_database(call->conf));
    struct store_reply reply = {.json = NULL};
    struct err err;
    enum result result = begin_store(store, milliseconds, &err);

    if (result == RESULT_OK)
        result = store_end(store, store_web(store, &question, &reply, &err), &err);
    if (result == RESULT_OK) {
        web_answer_json(call->answer, reply.status, reply.json);
    } else {
        free(reply.json); /* of a commit that failed */
        tell_failure(call, &err);
    }
    store_free(store);
}

static void look(struct console_call *call)
{
    char *asked = web_request_query(call->request);

    if (asked != NULL)
        ask_database(call, asked, READ_MS);
    else
        web_answer_error(call->answer, 400, "the query is not as a browser writes it", NULL);
    free(asked);
}

static void act(struct console_call *call)
{
    const char *body = call->request->body;

    if (strncasecmp(call->request->content_type, "application/json", 16) != 0 ||
        utf8_span(body, strlen(body)) != strlen(body))
        web_answer_error(call->answer, 400, "an action is JSON, in UTF-8", NULL);
    else
        ask_database(call, body, ACT_MS);
}

static void answer_status(struct console_call *call)
{
    struct installation installation;

    installation_read(&installation, call->conf, conf_web_database(call->conf), STORE_STATUS_ONLY);
    web_answer_json(call->answer, 200, status_json_text(&installation, false));
    installation_free(&installation);
}

static void answer_token_stored(struct console_call *call, const char *community)
{
    struct json_writer *json = json_write_new();

    json_write_text(json, "stored", community);
    web_answer_json(call->answer, 200, json_write_finish(json));
}

/* Returns what the database's server has said without the level that stands before it, which is of no use to a user. */
static const char *words_of_server(const struct err *err)
{
    size_t level = sizeof SERVER_SAYS - 1;

    return strncmp(err->text, SERVER_SAYS, level) == 0 ? err->text + level : err->text;
}

static void keep_token(struct console_call *call, const char *community, const char *token)
{
    const struct store_new_token given = {.community = community, .token = token, .how = "console"};
    struct store *store = store_new(conf_read_database(call->conf)); /* on a replica it is refused, as all actions */
    struct err err;
    enum result result = begin_store(store, READ_MS, &err);

    if (result == RESULT_OK)
        result = store_end(store, store_web_token(store, &given, call->session.user.name, &err), &err);
    if (result == RESULT_OK)
        answer_token_stored(call, community);
    else if (result == RESULT_FAIL)
        web_answer_error(call->answer, 400, words_of_server(&err), NULL);
    else
        tell_failure(call, &err);
    store_free(store);
}

static void store_token(struct console_call *call)
{
    char *community = web_request_field(call->request, "community"), *token = web_request_field(call->request, "token");

    if (call->session.user.read_only)
        web_answer_error(call->answer, 403, "you may look, and change nothing", NULL);
    else if (community == NULL || token == NULL)
        web_answer_error(call->answer, 400, "a community and its token are needed", NULL);
    else
        keep_token(call, community, token);
    memory_free_secret(token);
    free(community);
}

/* ---- the API ---- */

static void tell_session(struct console_call *call)
{
    answer_session(call, 0);
}

/* Every name that is not here is a question to the database. */
static const struct console_path {
    const char *name;
    void (*run)(struct console_call *call);
    bool is_post, is_for_all; /* also for who has not logged in */
} console_paths[] = {
    {"session", tell_session, false, true},
    {"login", log_in, true, true},
    {"logout", log_out, true, false},
    {"token", store_token, true, false},
    {"act", act, true, false},
    {"status", answer_status, false, false},
    {NULL, look, false, false},
};

/* Returns whether a POST may be: it is whole, comes from a page of ours, and shows the session's token. */
static bool is_post_allowed(const struct console_call *call, bool is_for_all)
{
    if (call->request->body == NULL)
        web_answer_error(call->answer, 413, "what was sent is too long", NULL);
    else if (!session_is_from_here(call->request))
        web_answer_error(call->answer, 403, "this was not sent by a page of this site",
                         "Programs send the header Sec-Fetch-Site: same-origin.");
    else if (!is_for_all && !digest_equal(call->request->action, call->session.action))
        web_answer_error(call->answer, 403, "the page is out of date", "Load it again.");
    else
        return true;
    return false;
}

static void answer_call(struct console_call *call)
{
    const struct console_path *path = console_paths;
    bool is_post = strcmp(call->request->method, "POST") == 0;

    while (path->name != NULL && strcmp(path->name, call->name) != 0)
        path++;
    if (!session_may_ask(call->request)) {
        web_answer_error(call->answer, 403, "this was not asked by a page of this site", NULL);
    } else if (path->is_post != is_post) {
        web_answer_error(call->answer, 405, path->is_post ? "this is done by POST" : "this is only to be read", NULL);
        call->answer->allow = path->is_post ? "POST" : "GET, HEAD";
    } else if (!path->is_for_all && *call->session.user.name == '\0') {
        web_answer_error(call->answer, 401, "nobody is logged in", "Log in.");
    } else if (!is_post || is_post_allowed(call, path->is_for_all)) {
        path->run(call);
    }
}

void console_answer(const struct conf *conf, const char *key, const char *path, const struct web_request *request,
                    struct web_answer *answer)
{
    struct console_call call = {.conf = conf, .key = key, .request = request, .answer = answer};

    if (strncmp(path, "api/", 4) != 0) {
        answer_file(path, answer);
        return;
    }
    call.name = path + 4;
    session_find(conf, key, request, &call.session);
    answer_call(&call);
    session_free(&call.session);
}
