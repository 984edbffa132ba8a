/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "work/backoff.h"

#include "base/log.h"
#include "base/signals.h"

#include <string.h>
#include <sys/random.h>

#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 10000

/* Returns between half and one and a half of MS, so that many clients of one server do not all return at once. */
static int add_jitter(int ms)
{
    unsigned char byte = 128;

    (void)!getrandom(&byte, 1, 0);
    return ms / 2 + ms * byte / 255;
}

int backoff_next(struct backoff *backoff, const char *what, const struct err *reason)
{
    if (what != NULL && (!backoff->logged || strcmp(backoff->reason.text, reason->text) != 0)) {
        log_warning("%s=failing reason=%s next=\"tried again until it works\"", what, reason->text);
        backoff->logged = true;
        backoff->reason = *reason;
    }
    backoff->wait_ms = backoff->wait_ms == 0 ? FIRST_WAIT_MS : backoff->wait_ms * 2;
    if (backoff->wait_ms > LONGEST_WAIT_MS)
        backoff->wait_ms = LONGEST_WAIT_MS;
    return add_jitter(backoff->wait_ms);
}

void backoff_wait(struct backoff *backoff, const char *what, const struct err *reason)
{
    signals_poll(NULL, 0, backoff_next(backoff, what, reason));
}

void backoff_reset(struct backoff *backoff, const char *what)
{
    if (backoff->logged)
        log_warning("%s=recovered", what);
    backoff->wait_ms = 0;
    backoff->logged = false;
}
