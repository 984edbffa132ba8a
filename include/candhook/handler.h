/*
 * SPDX-License-Identifier: ISC
 *
 * The interface of candhook's handlers of kind `c`: functions in a shared object in `handler_dir`. A handler is stored
 * in psql with the target "file.so:function" (or "file.so" for the function candhook_handle).
 *
 *     #include <candhook/handler.h>
 *
 *     enum candhook_result welcome(const struct candhook_call *call)
 *     {
 *         const char *id = candhook_payload(call, "id");
 *
 *         if (id == NULL)
 *             return candhook_answer(call, CANDHOOK_FAILED, "the payload has no id");
 *         return candhook_answer(call, CANDHOOK_OK, "welcomed %s", id);
 *     }
 *
 *     cc -shared -fPIC $(pkg-config --cflags candhook) -o welcome.so welcome.c
 *
 * Handlers run in a child process that serves one batch of deliveries. A handler that crashes or exceeds its timeout
 * (column `timeout`) loses this attempt and nothing else. A handler may be called again for the same event: when an
 * attempt was lost, when the handler returned CANDHOOK_RETRY, or when a person replays the event. Use event_id to make
 * its effect happen once; see candhook-handlers(7).
 *
 * The structures begin with their size and only grow at their end: a handler compiled against this header works with
 * every later candhook. A handler that uses a member added later checks `size` first.
 */
#ifndef CANDHOOK_HANDLER_H
#define CANDHOOK_HANDLER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CANDHOOK_HANDLER_VERSION 1 /* increases when members are added below */

enum candhook_result {
    CANDHOOK_OK = 0,    /* done */
    CANDHOOK_RETRY = 1, /* failed; try again later, up to max_attempts */
    CANDHOOK_FAILED = 2 /* failed; trying again would not help */
};

struct candhook_call;

/* A call of the canD API. */
struct candhook_request {
    size_t size;              /* of this structure, in bytes */
    const char *method;       /* "GET", "POST", "PUT", ... */
    const char *path;         /* "/products/CP:AK290DKFJD"; may contain a query */
    const char *body;         /* JSON; NULL: none */
    const char *community_id; /* NULL: the event's origin community */
    const char *profile_id;   /* on behalf of this profile; NULL: of none */
};

/* The answer to it. */
struct candhook_response {
    size_t size;       /* of this structure, in bytes */
    int status;        /* of HTTP; 0: there was no answer */
    const char *body;  /* JSON, unchanged; "" when there is none */
    const char *error; /* a message when the status is not 2xx or the answer is too large; else NULL */
    long retry_after;  /* the header Retry-After, in seconds, 86400 at most; -1: there was none */
};

/* The functions that a handler can call. Texts are UTF-8 and valid until the handler returns. */
struct candhook_functions {
    size_t size; /* of this structure, in bytes */

    /*
     * Sets the outcome's detail, formatted as by printf, and returns RESULT. At most 4,000 bytes are stored; bytes that
     * are not UTF-8 become `?`, and the bot token becomes [token]. Without this call the detail is empty.
     */
    enum candhook_result (*answer)(const struct candhook_call *call, enum candhook_result result, const char *format,
                                   ...)
#ifdef __GNUC__
        __attribute__((format(printf, 3, 4)))
#endif
        ;

    /*
     * Returns a value of the payload: the text of a string, or the JSON of anything else ("true", "12", "[1,2]"). PATH
     * is names joined by dots, with indexes of arrays as numbers ("purchases.0.id"). NULL when it is missing or null.
     */
    const char *(*payload)(const struct candhook_call *call, const char *path);

    /* The same for any JSON object, for example an answer of the canD API. */
    const char *(*value)(const struct candhook_call *call, const char *json, const char *path);

    /*
     * Calls the canD API (setting api_url) with the bot token and waits for the answer, for the handler's timeout at
     * most. Never returns NULL. When the API refuses the token (401), candhook marks it as invalid. Then, unless the
     * handler returns CANDHOOK_OK, the delivery is held until a new token is stored, and this attempt does not count.
     */
    const struct candhook_response *(*api)(const struct candhook_call *call, const struct candhook_request *request);
};

/* One call of a handler: one event, one attempt. */
struct candhook_call {
    size_t size; /* of this structure, in bytes */
    const struct candhook_functions *functions;
    const char *handler;     /* its name */
    int attempt;             /* 1 for the first */
    const char *event_id;    /* UUID; the same for every attempt */
    const char *received_at; /* RFC 3339, UTC, milliseconds: 2026-11-23T20:15:00.123Z */
    const char *module;
    const char *type;
    const char *origin_community_id; /* this and the next three: NULL when the event has none */
    const char *user_id;
    const char *community_id;
    const char *profile_id;
    const char *payload;   /* JSON object */
    const char *body;      /* the whole event, JSON object */
    const char *bot_token; /* of the origin community; NULL unless the handler needs_token */
};

/*
 * Short forms, in C:
 *
 *     const struct candhook_response *answer = candhook_api(call, "GET", "/products/CP:1", NULL);
 *
 *     if (answer->error != NULL)
 *         return candhook_answer(call, CANDHOOK_RETRY, "%s", answer->error);
 */
#define candhook_answer(call, ...) ((call)->functions->answer((call), __VA_ARGS__))
#define candhook_payload(call, path) ((call)->functions->payload((call), (path)))
#define candhook_value(call, json, path) ((call)->functions->value((call), (json), (path)))
#ifndef __cplusplus
#define candhook_api(call, method, path, body)                                                                         \
    ((call)->functions->api((call), &(const struct candhook_request){sizeof(struct candhook_request), (method),        \
                                                                     (path), (body), NULL, NULL}))
#endif

typedef enum candhook_result candhook_handler(const struct candhook_call *call);

#ifdef __cplusplus
}
#endif

#endif
