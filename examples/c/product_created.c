/*
 * SPDX-License-Identifier: ISC
 *
 * A handler of kind c, the documentation's example: asks the canD API for a new product, with the bot token of its
 * origin community. Put what you want to do with the product where the comment says.
 *
 * Build:    cc -shared -fPIC $(pkg-config --cflags candhook) -o product_created.so product_created.c
 * Install:  install -m 755 product_created.so $(pkg-config --variable=handlerdir candhook)
 *           psql -d candhook -c "insert into candhook.handler (name, module, type, kind, target, needs_token)
 *               values ('look at product', 'MOIM', 'product.created', 'c', 'product_created.so:product_created', true)"
 * Try:      candhook send https://your.site/candhook/SECRET --type product.created
 *           psql -d candhook -c 'select * from candhook.recent limit 5'
 *
 * candhook loads the file for each batch of deliveries, so a new one counts at once: put it beside the old one under
 * another name and rename it (mv), so that none is loaded half written.
 */
#include <candhook/handler.h>
#include <stdio.h>

candhook_handler product_created;

enum candhook_result product_created(const struct candhook_call *call)
{
    const char *product = candhook_payload(call, "id");
    const struct candhook_response *answer;
    char path[300];

    if (product == NULL)
        return candhook_answer(call, CANDHOOK_FAILED, "the payload has no id");
    snprintf(path, sizeof path, "/products/%s", product);
    answer = candhook_api(call, "GET", path, NULL);
    if (answer->status == 404)
        return candhook_answer(call, CANDHOOK_OK, "product %s is gone already", product);
    if (answer->error != NULL)
        return candhook_answer(call, CANDHOOK_RETRY, "%s", answer->error);

    /*
     * Here is the product: candhook_value(call, answer->body, "name") and so on. This may be called again for an event
     * whose attempt was lost, so what it changes elsewhere should depend on event_id.
     */
    return candhook_answer(call, CANDHOOK_OK, "product %s of %s in %s, attempt %d",
                           candhook_value(call, answer->body, "id"), call->profile_id ? call->profile_id : "nobody",
                           call->origin_community_id, call->attempt);
}
