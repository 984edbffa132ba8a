/*
 * SPDX-License-Identifier: ISC
 *
 * candhook send: POSTs an event to a URL as the platform does, and prints the answer. The URL holds a secret, so
 * nothing that is printed has more of it than scheme and host.
 */
#include <config.h>

#include "conf.h"
#include "event.h"
#include "sample.h"
#include "verb.h"

#include <argp.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define TIMEOUT_SECONDS 30L
#define COUNT_MAX 1000000
#define FILE_MAX_BYTES (64 * 1024 * 1024)
#define SHOWN_BYTES 4096 /* of an answer's body */

enum { OPTION_SET = 256, OPTION_LIST };

struct options {
    const char *type, *file;
    char **assignments; /* of --set, borrowed from argv */
    size_t assignment_count;
    long count;
    int list;
    char *url;
};

/* One connection, and the last answer on it. */
struct post {
    CURL *curl;
    CURLU *url;
    char *place; /* scheme://host/..., to be shown */
    char *path;  /* never shown */
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    char reason[64];
    char body[SHOWN_BYTES];
    size_t body_length;
};

static const struct argp_option option_table[] = {
    {"type", 't', "TYPE", 0, "Send the sample of this type (product.created)", 0},
    {"file", 'f', "FILE", 0, "Send what is in FILE instead, byte for byte; - is stdin", 0},
    {"set", OPTION_SET, "PATH=VALUE", 0, "Change a member first: payload.id=CP:1, context.userId=null; may be repeated",
     0},
    {"count", 'n', "N", 0, "Send it N times, one after the other", 0},
    {"list", OPTION_LIST, NULL, 0, "List the types there are samples of", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static long read_count(const char *text, struct argp_state *state)
{
    char *end;
    long count;

    errno = 0;
    count = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || count < 1 || count > COUNT_MAX)
        argp_error(state, "--count takes a number from 1 to %d", COUNT_MAX);
    return count;
}

/* Takes the URL out of argv, which every user of the machine can read. */
static char *take_url(char *argument)
{
    char *copy = strdup(argument);

    if (copy == NULL)
        abort();
    if (strcmp(argument, "-") != 0)
        explicit_bzero(argument, strlen(argument));
    return copy;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    if (key == 't')
        options->type = text;
    else if (key == 'f')
        options->file = text;
    else if (key == OPTION_SET)
        options->assignments[options->assignment_count++] = text;
    else if (key == 'n')
        options->count = read_count(text, state);
    else if (key == OPTION_LIST)
        options->list = 1;
    else if (key == ARGP_KEY_ARG && options->url == NULL)
        options->url = take_url(text);
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "one URL is enough");
    else if (key == ARGP_KEY_END && options->type != NULL && options->file != NULL)
        argp_error(state, "--type and --file exclude each other");
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    option_table,
    parse_option,
    "[URL]",
    "POSTs a sample event to the webhook URL and prints the answer.\v"
    "The URL is a secret, and an argument can be seen by every user of the machine while the program starts. So it can "
    "also be given in the environment as CANDHOOK_URL, or, when URL is -, as the first line of stdin:\n"
    "  printf 'https://your.site/candhook/%s' SECRET | candhook send -\n"
    "A VALUE that can be read as JSON is put in as JSON, any other as a string. Redirections are not followed, and "
    "certificates are always checked.\n"
    "Exit status: 0 when every answer was 2xx, 1 when one was not, 69 when there was no answer, 64 for wrong usage.",
    NULL,
    NULL,
    NULL};

static int list_samples(void)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        puts(sample->type);
    return 0;
}

/* ---- what is sent ---- */

/* Reads a whole file; a NUL stands behind it. NULL with errno. */
static char *read_all(FILE *file, size_t *length)
{
    size_t size = 65536;
    char *text = malloc(size);

    *length = 0;
    while (text != NULL) {
        *length += fread(text + *length, 1, size - *length - 1, file);
        if (*length < size - 1 || size > FILE_MAX_BYTES)
            break;
        text = realloc(text, size *= 2);
    }
    if (text == NULL)
        abort();
    text[*length] = '\0';
    if (!ferror(file) && size <= FILE_MAX_BYTES)
        return text;
    if (!ferror(file))
        errno = EFBIG;
    free(text);
    return NULL;
}

/* The body before it is changed, allocated. NULL after saying why. */
static char *base_body(const char *verb, const struct options *options, size_t *length)
{
    const char *type = options->type != NULL ? options->type : "product.created";
    const struct sample *sample = sample_find(type);
    FILE *file;
    char *body;

    if (options->file == NULL && sample == NULL) {
        fprintf(stderr,
                "%s: there is no sample of the type %s; --list shows the types, and --set type=%s makes another\n",
                verb, type, type);
        return NULL;
    }
    if (options->file == NULL) {
        *length = strlen(sample->body);
        body = strdup(sample->body);
        if (body == NULL)
            abort();
        return body;
    }
    file = strcmp(options->file, "-") == 0 ? stdin : fopen(options->file, "rb");
    body = file != NULL ? read_all(file, length) : NULL;
    if (body == NULL)
        fprintf(stderr, "%s: cannot read %s: %s\n", verb, options->file, strerror(errno));
    if (file != NULL && file != stdin)
        fclose(file);
    return body;
}

/* The body to send, allocated. NULL after saying why. */
static char *make_body(const char *verb, const struct options *options, size_t *length)
{
    char *base = base_body(verb, options, length), *changed;
    struct err err;

    if (base == NULL || options->assignment_count == 0)
        return base;
    if (event_change(base, options->assignments, options->assignment_count, &changed, &err) != RESULT_OK)
        fprintf(stderr, "%s: %s\n", verb, err.text);
    else
        *length = strlen(changed);
    free(base);
    return changed;
}

/* ---- where to ---- */

/* The URL from the argument, stdin or the environment, allocated. NULL when there is none. */
static char *find_url(const char *argument)
{
    const char *given = argument != NULL ? argument : conf_default_url();
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (given == NULL || strcmp(given, "-") != 0)
        return given != NULL ? strdup(given) : NULL;
    length = getline(&line, &size, stdin);
    while (length > 0 && strchr("\r\n \t", line[length - 1]) != NULL)
        line[--length] = '\0';
    if (length > 0)
        return line;
    free(line);
    return NULL;
}

static int is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* Takes the URL apart. Returns 0 when it is none that can be POSTed to. */
static int read_url(struct post *post, const char *text)
{
    char *scheme = NULL, *host = NULL;
    int good;

    post->url = curl_url();
    if (post->url == NULL)
        abort();
    good = curl_url_set(post->url, CURLUPART_URL, text, 0) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_PATH, &post->path, 0) == CURLUE_OK &&
           (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
    if (good && asprintf(&post->place, "%s://%s/...", scheme, host) < 0)
        abort();
    if (good && is_loopback(host)) /* no proxy is asked for what is on this machine */
        curl_easy_setopt(post->curl, CURLOPT_NOPROXY, "*");
    curl_free(scheme);
    curl_free(host);
    return good;
}

/* ---- the answer ---- */

/* What comes from outside is not let loose on a terminal. */
static char printable(char byte)
{
    return byte == '\n' || byte == '\t' || (unsigned char)byte >= 0x80 || (byte >= ' ' && byte < 0x7f) ? byte : '?';
}

/* Keeps the reason phrase of the status line: what stands behind the status. */
static size_t on_header(char *line, size_t one, size_t length, void *context)
{
    struct post *post = context;
    int start = 0;
    size_t kept = 0;

    (void)one;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        for (size_t i = 0; i < length && line[i] != '\r' && line[i] != '\n' && kept < sizeof post->reason - 1; i++) {
            if (start == 2)
                post->reason[kept++] = printable(line[i]);
            else
                start += line[i] == ' ';
        }
        post->reason[kept] = '\0';
    }
    return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
    struct post *post = context;

    (void)one;
    for (size_t i = 0; i < length && post->body_length < sizeof post->body; i++)
        post->body[post->body_length++] = printable(bytes[i]);
    return length;
}

static void prepare(struct post *post, const char *body, size_t length)
{
    CURL *curl = post->curl;

    post->headers = curl_slist_append(NULL, "Content-Type: application/json");
    post->headers = curl_slist_append(post->headers, "Expect:");
    if (post->headers == NULL)
        abort();
    curl_easy_setopt(curl, CURLOPT_CURLU, post->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, post->headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "candhook/" PACKAGE_VERSION);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, post->error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, post);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, post);
}

/* Says why there was no answer; libcurl's words are taken when they do not tell the path. */
static void say_unreachable(const char *verb, const struct post *post, CURLcode code)
{
    int quotable = post->error[0] != '\0' && (strlen(post->path) < 2 || strstr(post->error, post->path) == NULL);

    fprintf(stderr, "%s: no answer from %s: %s\n", verb, post->place,
            quotable ? post->error : curl_easy_strerror(code));
}

static void say_answer(const struct post *post, long status, double seconds)
{
    printf("%ld%s%s  (%.3f s)\n", status, *post->reason != '\0' ? " " : "", post->reason, seconds);
    if (post->body_length == 0)
        return;
    fwrite(post->body, 1, post->body_length, stdout);
    if (post->body[post->body_length - 1] != '\n')
        putchar('\n');
}

/* Sends the body COUNT times, and says each kind of answer when it first comes. Returns the exit status. */
static int send_all(const char *verb, struct post *post, long count)
{
    long status, last = 0, good = 0;

    for (long i = 0; i < count; i++) {
        CURLcode code;
        double seconds = 0;

        post->body_length = 0;
        post->reason[0] = post->error[0] = '\0';
        code = curl_easy_perform(post->curl);
        if (code != CURLE_OK) {
            say_unreachable(verb, post, code);
            return EX_UNAVAILABLE;
        }
        curl_easy_getinfo(post->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(post->curl, CURLINFO_TOTAL_TIME, &seconds);
        if (status != last)
            say_answer(post, status, seconds);
        last = status;
        good += status >= 200 && status < 300;
    }
    if (count > 1)
        printf("%ld of %ld were taken\n", good, count);
    return good == count ? 0 : 1;
}

/* Connects what to where. Returns the exit status. */
static int send_to(const char *verb, const struct options *options, const char *url)
{
    struct post post = {.curl = curl_easy_init()};
    size_t length = 0;
    char *body = make_body(verb, options, &length);
    int status = EX_USAGE;

    if (post.curl == NULL)
        abort();
    if (body != NULL && !read_url(&post, url)) {
        fprintf(stderr, "%s: the URL must be http://HOST/PATH or https://HOST/PATH\n", verb);
    } else if (body != NULL) {
        prepare(&post, body, length);
        status = send_all(verb, &post, options->count);
    }
    curl_easy_cleanup(post.curl);
    curl_slist_free_all(post.headers);
    curl_url_cleanup(post.url);
    curl_free(post.path);
    free(post.place);
    free(body);
    return status;
}

int verb_send(int argc, char **argv)
{
    struct options options = {.count = 1, .assignments = calloc((size_t)argc, sizeof *options.assignments)};
    char *url;
    int status = EX_USAGE;

    if (options.assignments == NULL)
        abort();
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    url = options.list ? NULL : find_url(options.url);
    if (options.list)
        status = list_samples();
    else if (url == NULL)
        fprintf(stderr, "%s: no URL: give it as an argument, in CANDHOOK_URL, or on stdin with -\n", argv[0]);
    else
        status = send_to(argv[0], &options, url);
    curl_global_cleanup();
    free(url);
    free(options.url);
    free(options.assignments);
    return status;
}
