/*
 * SPDX-License-Identifier: ISC
 *
 * Runs requests by libcurl's socket interface: libcurl tells which sockets to watch and when it wants to be called. So
 * all waiting is one signals_poll, in which the caller's descriptors can be waited for as well.
 */
#include <config.h>

#include "http/http.h"

#include "base/memory.h"
#include "base/signals.h"
#include "http/http_inside.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_CONNECTIONS 16L

struct http {
    CURLM *multi;
    struct exchange *exchanges; /* those that http_next has not returned yet */
    size_t ended;               /* how many of them have ended */
    struct pollfd *fds;         /* the sockets that libcurl waits for */
    size_t fd_count;
};

/* ---- what libcurl asks for ---- */

static int on_curl_socket(CURL *curl, curl_socket_t socket, int what, void *context, void *socket_context)
{
    struct http *http = context;
    size_t i = 0;

    (void)curl;
    (void)socket_context;
    while (i < http->fd_count && http->fds[i].fd != socket)
        i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < http->fd_count)
            http->fds[i] = http->fds[--http->fd_count];
        return 0;
    }
    if (i == http->fd_count)
        http->fds = memory_resize(http->fds, ++http->fd_count, sizeof *http->fds);
    http->fds[i].fd = socket;
    http->fds[i].events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

struct http *http_new(void)
{
    struct http *http = memory_new(1, sizeof *http);

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    http->multi = http_must(curl_multi_init());
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return http;
}

/* ---- exchanges ---- */

/* Lets libcurl handle EVENTS of a socket, or its timer, and ends the exchanges whose transfers have ended by that. */
static void run_curl(struct http *http, curl_socket_t socket, int events)
{
    CURLMsg *message;
    int count;

    curl_multi_socket_action(http->multi, socket, events, &count);
    while ((message = curl_multi_info_read(http->multi, &count)) != NULL) {
        CURL *curl = message->easy_handle;
        CURLcode code = message->data.result; /* removing the handle frees the message */
        struct exchange *exchange;

        curl_easy_getinfo(curl, CURLINFO_PRIVATE, &exchange);
        curl_multi_remove_handle(http->multi, curl);
        http_exchange_end(exchange, code);
        http->ended++;
    }
}

static struct exchange *start_exchange(struct http *http, const struct http_request *request, struct err *err)
{
    struct exchange *exchange = http_exchange_new(request, err);

    if (exchange == NULL)
        return NULL;
    exchange->next = http->exchanges;
    http->exchanges = exchange;
    curl_multi_add_handle(http->multi, exchange->curl);
    run_curl(http, CURL_SOCKET_TIMEOUT, 0);
    return exchange;
}

static void free_exchange(struct http *http, struct exchange *exchange)
{
    struct exchange **link = &http->exchanges;

    while (*link != exchange)
        link = &(*link)->next;
    *link = exchange->next;
    if (exchange->ended)
        http->ended--;
    else
        curl_multi_remove_handle(http->multi, exchange->curl);
    http_exchange_free(exchange);
}

/* Gives away what came of an exchange that has ended, and frees it. */
static enum result take_exchange_result(struct http *http, struct exchange *exchange, struct http_answer *answer,
                                        struct err *err)
{
    enum result result = exchange->result;

    *answer = (struct http_answer){0};
    if (result == RESULT_OK) {
        *answer = exchange->answer;
        exchange->answer.reason = exchange->answer.body = NULL;
    } else {
        *err = exchange->why;
    }
    free_exchange(http, exchange);
    return result;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    while (http->exchanges != NULL)
        free_exchange(http, http->exchanges);
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    free(http->fds);
    free(http);
}

/* ---- many at once ---- */

enum result http_start(struct http *http, const struct http_request *request, void *context, struct err *err)
{
    struct exchange *exchange = start_exchange(http, request, err);

    if (exchange == NULL)
        return RESULT_FAIL;
    exchange->context = context;
    return RESULT_OK;
}

void http_stop(struct http *http, const void *context)
{
    struct exchange *exchange = http->exchanges;

    while (exchange != NULL && exchange->context != context)
        exchange = exchange->next;
    if (exchange != NULL)
        free_exchange(http, exchange);
}

/*
 * Returns the milliseconds until libcurl wants to be called, 0 when it is due, -1: never. It is asked each time: its
 * timer callback stays silent when it was called a moment too early, and a timeout would be lost.
 */
static int curl_due_ms(const struct http *http)
{
    long left = -1;

    curl_multi_timeout(http->multi, &left);
    return left < 0 ? -1 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Returns how long may be waited: TIMEOUT_MS, or less when libcurl wants to be called, or 0 when one has ended. */
static int wait_ms(const struct http *http, int timeout_ms)
{
    int left = curl_due_ms(http);

    if (http->ended > 0)
        return 0;
    return left < 0 || (timeout_ms >= 0 && timeout_ms < left) ? timeout_ms : left;
}

/* Hands the events of libcurl's sockets to it. FDS is a copy, since libcurl changes its own list meanwhile. */
static void handle_events(struct http *http, const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int events = (fds[i].revents & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) |
                     (fds[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
                     (fds[i].revents & (POLLERR | POLLNVAL) ? CURL_CSELECT_ERR : 0);

        if (events != 0)
            run_curl(http, fds[i].fd, events);
    }
}

void http_wait(struct http *http, struct pollfd *fds, size_t count, int timeout_ms)
{
    size_t own = http->fd_count;
    struct pollfd *all = memory_new(count + own, sizeof *all);
    int ready;

    if (count > 0)
        memcpy(all, fds, count * sizeof *all);
    if (own > 0)
        memcpy(all + count, http->fds, own * sizeof *all);
    ready = signals_poll(all, count + own, wait_ms(http, timeout_ms));
    for (size_t i = 0; i < count; i++)
        fds[i].revents = ready > 0 ? all[i].revents : 0;
    if (ready > 0)
        handle_events(http, all + count, own);
    if (curl_due_ms(http) == 0)
        run_curl(http, CURL_SOCKET_TIMEOUT, 0);
    free(all);
}

void *http_next(struct http *http, enum result *result, struct http_answer *answer, struct err *err)
{
    struct exchange *exchange = http->exchanges;
    void *context;

    while (exchange != NULL && !exchange->ended)
        exchange = exchange->next;
    if (exchange == NULL)
        return NULL;
    context = exchange->context;
    *result = take_exchange_result(http, exchange, answer, err);
    return context;
}

/* ---- one ---- */

enum result http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
                      struct err *err)
{
    struct exchange *exchange = start_exchange(http, request, err);

    *answer = (struct http_answer){0};
    if (exchange == NULL)
        return RESULT_FAIL;
    while (!exchange->ended)
        http_wait(http, NULL, 0, -1);
    return take_exchange_result(http, exchange, answer, err);
}
