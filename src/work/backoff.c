/*
 * SPDX-License-Identifier: ISC
 *
 * Back-off with few words.
 */
#include <config.h>

#include "work/backoff.h"

#include "base/log.h"
#include "base/signals.h"

#include <string.h>
#include <sys/random.h>

#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 10000

/* Between half and one and a half of MS, so that many who lost the same server do not come back at once. */
static int with_jitter(int ms)
{
    unsigned char byte = 128;

    (void)!getrandom(&byte, 1, 0);
    return ms / 2 + ms * byte / 255;
}

void backoff_wait(struct backoff *backoff, const char *what, const struct err *why)
{
    if (what != NULL && (!backoff->said || strcmp(backoff->why.text, why->text) != 0)) {
        log_warning("%s=failing reason=%s next=\"tried again until it works\"", what, why->text);
        backoff->said = 1;
        backoff->why = *why;
    }
    backoff->wait_ms = backoff->wait_ms == 0 ? FIRST_WAIT_MS : backoff->wait_ms * 2;
    if (backoff->wait_ms > LONGEST_WAIT_MS)
        backoff->wait_ms = LONGEST_WAIT_MS;
    signals_poll(NULL, 0, with_jitter(backoff->wait_ms));
}

void backoff_reset(struct backoff *backoff, const char *what)
{
    if (backoff->said && what != NULL)
        log_warning("%s=recovered", what);
    backoff->wait_ms = backoff->said = 0;
}
