/*
 * SPDX-License-Identifier: ISC
 *
 * Back-off with few words.
 */
#include <config.h>

#include "patience.h"

#include "log.h"
#include "signals.h"

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

void patience_lose(struct patience *patience, const char *what, const struct err *why)
{
    struct log_quoted reason;

    if (what != NULL && (!patience->said || strcmp(patience->why.text, why->text) != 0)) {
        log_warning("%s=failing reason=%s next=\"tried again until it works\"", what,
                    log_quote(&reason, why->text, strlen(why->text)));
        patience->said = 1;
        patience->why = *why;
    }
    patience->wait_ms = patience->wait_ms == 0 ? FIRST_WAIT_MS : patience->wait_ms * 2;
    if (patience->wait_ms > LONGEST_WAIT_MS)
        patience->wait_ms = LONGEST_WAIT_MS;
    signals_poll(NULL, 0, with_jitter(patience->wait_ms));
}

void patience_rest(struct patience *patience, const char *what)
{
    if (patience->said && what != NULL)
        log_warning("%s=works again", what);
    patience->wait_ms = patience->said = 0;
}
