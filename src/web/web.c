/*
 * SPDX-License-Identifier: ISC
 *
 * candhook-web.fcgi: what people's browsers ask for, by FastCGI or CGI. It shares no process with candhook.fcgi. Each
 * request has a process of its own, since it may wait for the platform and for the database.
 */
#include <config.h>

#include "base/err.h"
#include "base/io.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/no_core.h"
#include "base/private_file.h"
#include "base/signals.h"
#include "base/std_fds.h"
#include "conf/conf.h"
#include "web/console.h"
#include "web/health.h"
#include "web/install.h"
#include "web/seal.h"
#include "web/web_answer.h"
#include "web/web_request.h"

#include <argp.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define AT_A_TIME 16       /* requests */
#define FRONT_SECONDS 30   /* how long a front may let us wait */
#define REQUEST_SECONDS 90 /* longest life of a request */
#define TICK_MS 1000

const char *argp_program_version = "candhook-web.fcgi " PACKAGE_VERSION;

/* What all requests have in common. */
struct web {
    struct conf *conf;
    char *key, *client_secret, *metrics_token; /* each of the last two: NULL when there is none */
    struct health_memory *health;              /* shared with the processes of the requests; NULL under CGI */
    int listener;
};

static const struct argp_option web_option_table[] = {
    {.name = "listen", .key = 'l', .arg = "PATH", .doc = "Open this unix socket (mode 0660) and answer FastCGI on it"},
    {0},
};

static error_t parse_web_option(int key, char *text, struct argp_state *state)
{
    if (key != 'l')
        return ARGP_ERR_UNKNOWN;
    *(const char **)state->input = text;
    return 0;
}

static const struct argp web_argp = {
    .options = web_option_table,
    .parser = parse_web_option,
    .doc =
        "Lets communities install the App in the browser (.../install and .../callback), has a console for the people who "
        "run it (.../console/), and tells monitors how it is (.../health, .../metrics).\v"
        "A front server starts this program: by FastCGI with a listening socket as descriptor 0 or, from systemd, 3; or "
        "by CGI. By hand, give --listen. The configuration is read from $CANDHOOK_CONF, else from " SYSCONFDIR
        "/candhook.conf. See candhook-web.fcgi(8).",
};

/* ---- one request ---- */

/* Answers for the console, if the path is one of it. */
static bool answer_console(const struct web *web, const struct web_request *request, struct web_answer *answer)
{
    char *path = web_request_below(request, web->conf->redirect_uri, "console");

    if (path != NULL)
        console_answer(web->conf, web->key, path, request, answer);
    free(path);
    return path != NULL;
}

static void answer_page(const struct web *web, struct install *install, const struct web_request *request,
                        struct web_answer *answer)
{
    if (answer_console(web, request, answer))
        return;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        web_answer_begin(answer, 405, "Method not allowed");
        answer->allow = "GET, HEAD";
        web_answer_paragraph(answer, "This page is only to be read.");
        web_answer_end(answer);
    } else if (web_request_is_for(request, "console")) {
        web_answer_redirect(answer, "console/");
    } else if (web_request_is_for(request, "install")) {
        install_begin(install, request, answer);
    } else if (web_request_is_for(request, "callback")) {
        install_callback(install, request, answer);
    } else if (web_request_is_for(request, "health")) {
        health_answer(web->conf, request, web->health, answer);
    } else if (web_request_is_for(request, "metrics") && web->metrics_token != NULL) {
        health_answer_metrics(web->conf, request, web->metrics_token, answer);
    } else {
        web_answer_begin(answer, 404, "Not found");
        web_answer_paragraph(answer, "There is nothing here. The App is installed by the link that ends with /install, "
                                     "and its console is at /console/.");
        web_answer_end(answer);
    }
}

/* Returns the whole answer to a request, allocated. */
static char *make_answer(const struct web *web, struct install *install, const struct web_request *request,
                         size_t *length)
{
    struct web_answer answer = {0};
    char *text;

    answer_page(web, install, request, &answer);
    text = web_answer_text(&answer, strcmp(request->method, "HEAD") == 0, length);
    web_answer_free(&answer);
    return text;
}

static struct install begin_install(const struct web *web)
{
    const struct conf *conf = web->conf;

    return (struct install){.conf = conf,
                            .key = web->key,
                            .client_secret = web->client_secret,
                            .http = http_new(),
                            .store = store_new(conf_web_database(conf))};
}

static void end_install(struct install *install)
{
    store_free(install->store);
    http_free(install->http);
}

/* ---- what the front says ---- */

/* Returns a parameter of FastCGI, or without ENVP a variable of CGI's environment; "" when it is not given. */
static const char *get_param(char **envp, const char *name)
{
    const char *value = envp != NULL ? FCGX_GetParam(name, envp) : getenv(name);

    return value != NULL ? value : "";
}

/* Reads LENGTH bytes from IN, or without it from stdin. */
static bool read_bytes(FCGX_Stream *in, char *bytes, size_t length)
{
    if (in != NULL)
        return FCGX_GetStr(bytes, (int)length, in) == (int)length;
    return io_read_all(STDIN_FILENO, bytes, length) == (ssize_t)length;
}

/* Returns the body, allocated; NULL when it is too long, not whole, or no text. */
static char *read_web_body(FCGX_Stream *in, const char *length_text)
{
    unsigned long length = strtoul(length_text, NULL, 10);
    char *body;

    if (length > WEB_REQUEST_BODY_BYTES)
        return NULL;
    body = memory_allocate(length + 1);
    body[length] = '\0';
    if (read_bytes(in, body, length) && strlen(body) == length)
        return body;
    memory_free_secret(body);
    return NULL;
}

/* Reads a request, whose body is to be freed by memory_free_secret. Apache puts REDIRECT_ before the name of a variable
 * that .htaccess has set. */
static struct web_request read_request(char **envp, FCGX_Stream *in)
{
    const char *authorization = get_param(envp, "HTTP_AUTHORIZATION");

    return (struct web_request){
        .method = get_param(envp, "REQUEST_METHOD"),
        .uri = get_param(envp, "REQUEST_URI"),
        .cookies = get_param(envp, "HTTP_COOKIE"),
        .authorization = *authorization != '\0' ? authorization : get_param(envp, "REDIRECT_HTTP_AUTHORIZATION"),
        .scheme = get_param(envp, "REQUEST_SCHEME"),
        .host = get_param(envp, "HTTP_HOST"),
        .origin = get_param(envp, "HTTP_ORIGIN"),
        .fetch_site = get_param(envp, "HTTP_SEC_FETCH_SITE"),
        .action = get_param(envp, "HTTP_X_CANDHOOK_ACTION"),
        .content_type = get_param(envp, "CONTENT_TYPE"),
        .body = read_web_body(in, get_param(envp, "CONTENT_LENGTH"))};
}

/* ---- CGI ---- */

static void answer_cgi_page(const struct web *web)
{
    const struct web_request request = read_request(NULL, NULL);
    struct install install = begin_install(web);
    size_t length;
    char *text;

    alarm(REQUEST_SECONDS);
    text = make_answer(web, &install, &request, &length);
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    memory_free_secret(text);
    memory_free_secret(request.body);
    end_install(&install);
}

/* ---- FastCGI ---- */

/* Answers the request of a connection, in a process of its own, which ends with it. */
__attribute__((noreturn)) static void answer_connection(const struct web *web, int connection)
{
    const struct timeval patience = {.tv_sec = FRONT_SECONDS};
    struct install install = begin_install(web);
    FCGX_Request fcgi;

    alarm(REQUEST_SECONDS);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    FCGX_InitRequest(&fcgi, -1, 0);
    fcgi.ipcFd = connection;
    fcgi.keepConnection = 1; /* or FCGX_Accept_r would close it and accept another */
    if (FCGX_Accept_r(&fcgi) == 0) {
        const struct web_request request = read_request(fcgi.envp, fcgi.in);
        size_t length;
        char *text = make_answer(web, &install, &request, &length);

        FCGX_PutStr(text, (int)length, fcgi.out);
        memory_free_secret(text);
        memory_free_secret(request.body);
        fcgi.keepConnection = 0;
        FCGX_Finish_r(&fcgi);
    }
    end_install(&install);
    _exit(0);
}

/* Accepts a connection, if there is one, and forks a process for it. Returns whether there is one more process. */
static bool take_connection(const struct web *web)
{
    int connection = accept4(web->listener, NULL, NULL, SOCK_CLOEXEC);
    pid_t child = connection >= 0 ? fork() : -1;

    if (child == 0)
        answer_connection(web, connection);
    if (connection >= 0 && child < 0)
        log_error("web=busy reason=%s effect=\"a request was not answered\"", strerror(errno));
    if (connection >= 0)
        close(connection);
    return child > 0;
}

static size_t count_ended(void)
{
    size_t ended = 0;
    int status;

    while (waitpid(-1, &status, WNOHANG) > 0) {
        ended++;
        if (WIFSIGNALED(status))
            log_error("web=crashed signal=%d effect=\"a request was not answered\"", WTERMSIG(status));
    }
    return ended;
}

/*
 * Serves the listening socket until told to end; what is begun then is finished. The socket does not block: where
 * several processes share it, another one may have taken the connection.
 */
static void serve_connections(const struct web *web)
{
    size_t running = 0;
    int flags = fcntl(web->listener, F_GETFL);

    fcntl(web->listener, F_SETFL, flags | O_NONBLOCK);
    log_info("web=started");
    while (!signals_stop_asked() || running > 0) {
        struct pollfd fd = {.fd = running < AT_A_TIME && !signals_stop_asked() ? web->listener : -1, .events = POLLIN};

        if (signals_poll(&fd, 1, TICK_MS) > 0)
            running += take_connection(web);
        running -= count_ended();
    }
    log_info("web=ended");
}

/* ---- life ---- */

/* Returns memory that the processes of the requests share; NULL when there is none. */
static struct health_memory *share_health(void)
{
    void *shared = mmap(NULL, sizeof(struct health_memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return shared != MAP_FAILED ? shared : NULL;
}

static enum result open_web(struct web *web, struct err *err)
{
    enum result result = conf_load(&web->conf, err);

    if (result == RESULT_OK)
        result = log_open(web->conf->log, web->conf->log_level, "candhook-web.fcgi", err);
    if (result == RESULT_OK)
        result = private_file_read_secret(web->conf->client_secret, &web->client_secret, err);
    if (result == RESULT_OK)
        result = private_file_read_secret(web->conf->metrics_token, &web->metrics_token, err);
    if (result == RESULT_OK)
        result = seal_read_key(web->conf->web_key, &web->key, err);
    return result;
}

static void close_web(struct web *web)
{
    memory_free_secret(web->client_secret);
    memory_free_secret(web->metrics_token);
    memory_free_secret(web->key);
    conf_free(web->conf);
}

int main(int argc, char **argv)
{
    struct web web = {.listener = -1};
    const char *listen = NULL;
    struct err err;
    bool is_cgi;

    std_fds_reserve();
    no_core();
    web.listener = listener_inherited();
    is_cgi = web.listener < 0 && getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
    if (!is_cgi) /* CGI makes arguments of a query without an equal sign: they are a stranger's */
        argp_parse(&web_argp, argc, argv, 0, NULL, &listen);
    if (!is_cgi && web.listener < 0 && listen == NULL) {
        fprintf(stderr, "candhook-web.fcgi: it was not started by a web server, and --listen is not given. "
                        "Try candhook-web.fcgi --help.\n");
        return EX_USAGE;
    }
    if (open_web(&web, &err) != RESULT_OK ||
        (listen != NULL && listener_open(listen, &web.listener, &err) != RESULT_OK)) {
        log_error("web=not_started reason=%s", err.text);
        if (is_cgi)
            fputs("Status: 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                  "This App cannot answer at the moment. Whoever runs it finds the reason in its log.\n",
                  stdout);
        close_web(&web);
        return EX_CONFIG;
    }
    if (!is_cgi)
        web.health = share_health();
    FCGX_Init();
    signals_catch(); /* after FCGX_Init, which catches signals of its own */
    if (is_cgi)
        answer_cgi_page(&web);
    else
        serve_connections(&web);
    if (listen != NULL)
        unlink(listen);
    close_web(&web);
    return 0;
}
