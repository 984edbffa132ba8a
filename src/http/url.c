/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "http/url.h"

#include "base/memory.h"
#include "http/http_inside.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *http_url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

enum result http_url_parse(const char *text, CURLU **out, char **server, struct err *err)
{
    CURLU *url = http_must(curl_url());
    bool parsed = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    char *scheme = http_url_part(url, CURLUPART_SCHEME), *host = http_url_part(url, CURLUPART_HOST);
    char *port = http_url_part(url, CURLUPART_PORT);
    bool good = parsed && scheme != NULL && host != NULL && *host != '\0' &&
                (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);

    if (good)
        *server = memory_format("%s://%s%s%s", scheme, host, port != NULL ? ":" : "", port != NULL ? port : "");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    if (good) {
        *out = url;
        return RESULT_OK;
    }
    curl_url_cleanup(url);
    err_set(err, "the URL must be http://HOST/PATH or https://HOST/PATH");
    return RESULT_FAIL;
}

enum result url_server(const char *url, char **server, struct err *err)
{
    CURLU *parsed;
    enum result result = http_url_parse(url, &parsed, server, err);

    if (result == RESULT_OK)
        curl_url_cleanup(parsed);
    return result;
}

static bool is_local_host(const char *host)
{
    struct in_addr address;

    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

bool http_url_is_local(CURLU *url)
{
    char *host = http_url_part(url, CURLUPART_HOST);
    bool local = host != NULL && is_local_host(host);

    curl_free(host);
    return local;
}

bool url_is_local(const char *url)
{
    CURLU *parsed = http_must(curl_url());
    bool local = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK && http_url_is_local(parsed);

    curl_url_cleanup(parsed);
    return local;
}

char *url_join(const char *base, const char *path)
{
    size_t length = strlen(base);

    while (length > 0 && base[length - 1] == '/')
        length--;
    return memory_format("%.*s/%s", (int)length, base, *path == '/' ? path + 1 : path);
}

/* CURLU_URLENCODE would write a blank as +, which not every server decodes; curl_easy_escape writes %20. */
char *url_encode(const char *text)
{
    char *encoded = http_must(curl_easy_escape(NULL, text, 0)), *copy = memory_copy_text(encoded);

    explicit_bzero(encoded, strlen(encoded)); /* it may be a secret */
    curl_free(encoded);
    return copy;
}

char *url_form(const struct url_parameter *parameters, size_t count)
{
    char *form = memory_copy_text("");

    for (size_t i = 0; i < count; i++) {
        char *value, *longer;

        if (parameters[i].value == NULL)
            continue;
        value = url_encode(parameters[i].value);
        longer = memory_format("%s%s%s=%s", form, *form != '\0' ? "&" : "", parameters[i].name, value);
        memory_free_secret(value);
        memory_free_secret(form);
        form = longer;
    }
    return form;
}

static void add_parameter(CURLU *url, const struct url_parameter *parameter)
{
    char *value = url_encode(parameter->value);
    char *text = memory_format("%s=%s", parameter->name, value);

    if (curl_url_set(url, CURLUPART_QUERY, text, CURLU_APPENDQUERY) != CURLUE_OK)
        abort(); /* only for lack of memory */
    free(value);
    free(text);
}

enum result url_add_query(const char *url, const struct url_parameter *parameters, size_t count, char **out,
                          struct err *err)
{
    char *server, *text;
    CURLU *parsed;
    enum result result = http_url_parse(url, &parsed, &server, err);

    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < count; i++)
        if (parameters[i].value != NULL)
            add_parameter(parsed, &parameters[i]);
    text = http_must(http_url_part(parsed, CURLUPART_URL));
    *out = memory_copy_text(text);
    curl_free(text);
    curl_url_cleanup(parsed);
    free(server);
    return RESULT_OK;
}
