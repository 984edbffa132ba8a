/*
 * SPDX-License-Identifier: ISC
 *
 * Many requests at once, by libcurl's socket interface: it tells which sockets to watch and when to call it, so that
 * all waiting is signals_poll, and descriptors of others can be waited for in the same call.
 */
#include <config.h>

#include "base/clock.h"
#include "base/signals.h"
#include "http/http_inside.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct http_pool {
    CURLM *multi;
    struct exchange *running, *ended, **ended_last;
    struct pollfd *fds; /* what libcurl waits for */
    size_t fd_count;
    int64_t due_ms; /* when libcurl wants to be called, by the monotonic clock; -1: not */
};

static int on_socket(CURL *curl, curl_socket_t socket, int what, void *context, void *socket_context)
{
    struct http_pool *pool = context;
    size_t i = 0;

    (void)curl;
    (void)socket_context;
    while (i < pool->fd_count && pool->fds[i].fd != socket)
        i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < pool->fd_count)
            pool->fds[i] = pool->fds[--pool->fd_count];
        return 0;
    }
    if (i == pool->fd_count)
        pool->fds = http_must(realloc(pool->fds, ++pool->fd_count * sizeof *pool->fds));
    pool->fds[i].fd = socket;
    pool->fds[i].events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct http_pool *pool = context;

    (void)multi;
    pool->due_ms = timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms;
    return 0;
}

struct http_pool *http_pool_new(void)
{
    struct http_pool *pool = http_must(calloc(1, sizeof *pool));

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    pool->multi = http_must(curl_multi_init());
    pool->ended_last = &pool->ended;
    pool->due_ms = -1;
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, HTTP_KEPT_CONNECTIONS);
    return pool;
}

static void drop(struct exchange *exchange)
{
    curl_easy_cleanup(exchange->curl);
    http_release(exchange);
    free(exchange);
}

/* Takes the exchange of CONTEXT, or the first if that is NULL, out of a list. */
static struct exchange *unlink_from(struct exchange **list, const void *context)
{
    struct exchange *found;

    while (*list != NULL && context != NULL && (*list)->context != context)
        list = &(*list)->next;
    found = *list;
    if (found != NULL)
        *list = found->next;
    return found;
}

/* Puts those that ended into their list. */
static void collect(struct http_pool *pool)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(pool->multi, &left)) != NULL) {
        CURL *curl = message->easy_handle;
        CURLcode code = message->data.result; /* the message is gone with the handle */
        struct exchange **at = &pool->running, *exchange;

        while ((*at)->curl != curl)
            at = &(*at)->next;
        exchange = *at;
        *at = exchange->next;
        curl_multi_remove_handle(pool->multi, curl);
        exchange->result = http_finish(exchange, code, &exchange->why);
        exchange->next = NULL;
        *pool->ended_last = exchange;
        pool->ended_last = &exchange->next;
    }
}

static void act(struct http_pool *pool, curl_socket_t socket, int events)
{
    int running;

    if (socket == CURL_SOCKET_TIMEOUT)
        pool->due_ms = -1; /* it is set anew if need be */
    curl_multi_socket_action(pool->multi, socket, events, &running);
}

enum result http_pool_start(struct http_pool *pool, const struct http_request *request, void *context, struct err *err)
{
    struct exchange *exchange = http_must(calloc(1, sizeof *exchange));
    enum result result;

    exchange->curl = http_must(curl_easy_init());
    exchange->context = context;
    result = http_prepare(exchange, request, err);
    if (result != RESULT_OK) {
        drop(exchange);
        return result;
    }
    exchange->next = pool->running;
    pool->running = exchange;
    curl_multi_add_handle(pool->multi, exchange->curl);
    act(pool, CURL_SOCKET_TIMEOUT, 0);
    return RESULT_OK;
}

static void break_off(struct http_pool *pool, struct exchange *exchange)
{
    curl_multi_remove_handle(pool->multi, exchange->curl);
    drop(exchange);
}

void http_pool_stop(struct http_pool *pool, void *context)
{
    struct exchange *running = unlink_from(&pool->running, context), *ended = NULL;

    if (running != NULL) {
        break_off(pool, running);
        return;
    }
    ended = unlink_from(&pool->ended, context);
    for (pool->ended_last = &pool->ended; *pool->ended_last != NULL;)
        pool->ended_last = &(*pool->ended_last)->next;
    if (ended != NULL)
        drop(ended);
}

/* How long may be waited: not at all when something ended already. */
static int backoff(const struct http_pool *pool, int timeout_ms)
{
    int64_t left = pool->due_ms - clock_monotonic_ms();

    if (pool->ended != NULL)
        return 0;
    if (pool->due_ms < 0)
        return timeout_ms;
    left = left < 0 ? 0 : left > INT_MAX ? INT_MAX : left;
    return timeout_ms >= 0 && timeout_ms < left ? timeout_ms : (int)left;
}

void http_pool_wait(struct http_pool *pool, struct pollfd *fds, size_t count, int timeout_ms)
{
    size_t own = pool->fd_count; /* what is done for one may change the list */
    struct pollfd *all = http_must(calloc(count + own + 1, sizeof *all));
    int ready;

    if (count > 0)
        memcpy(all, fds, count * sizeof *all);
    if (own > 0)
        memcpy(all + count, pool->fds, own * sizeof *all);
    ready = signals_poll(all, count + own, backoff(pool, timeout_ms));
    for (size_t i = 0; i < count; i++)
        fds[i].revents = ready > 0 ? all[i].revents : 0;
    for (size_t i = count; i < count + own && ready > 0; i++) {
        int events = (all[i].revents & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) |
                     (all[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
                     (all[i].revents & (POLLERR | POLLNVAL) ? CURL_CSELECT_ERR : 0);

        if (events != 0)
            act(pool, all[i].fd, events);
    }
    if (pool->due_ms >= 0 && pool->due_ms <= clock_monotonic_ms())
        act(pool, CURL_SOCKET_TIMEOUT, 0);
    collect(pool);
    free(all);
}

void *http_pool_next(struct http_pool *pool, enum result *result, struct http_answer *answer, struct err *err)
{
    struct exchange *exchange;
    void *context;

    collect(pool);
    exchange = unlink_from(&pool->ended, NULL);
    if (exchange == NULL)
        return NULL;
    if (pool->ended == NULL)
        pool->ended_last = &pool->ended;
    context = exchange->context;
    *result = exchange->result;
    *err = exchange->why;
    http_hand_over(exchange, exchange->result, answer);
    drop(exchange);
    return context;
}

void http_pool_free(struct http_pool *pool)
{
    struct exchange *exchange;

    if (pool == NULL)
        return;
    while ((exchange = unlink_from(&pool->running, NULL)) != NULL)
        break_off(pool, exchange);
    while ((exchange = unlink_from(&pool->ended, NULL)) != NULL)
        drop(exchange);
    curl_multi_cleanup(pool->multi);
    curl_global_cleanup();
    free(pool->fds);
    free(pool);
}
