/*
 * SPDX-License-Identifier: ISC
 *
 * A handler of kind c: looks at a new product and at the bot token of its origin community. Put your call of canD's API
 * where the comment says.
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

candhook_handler product_created;

enum candhook_result product_created(const struct candhook_call *call)
{
    const struct candhook_functions *candhook = call->functions;
    const char *product = candhook->payload(call, "id");

    if (product == NULL)
        return candhook->answer(call, CANDHOOK_FAILED, "the payload has no id");
    if (call->origin_community_id == NULL || call->bot_token == NULL)
        return candhook->answer(call, CANDHOOK_FAILED, "there is no bot token to ask for product %s with", product);

    /*
     * GET https://api.cand.xyz/products/PRODUCT with the headers `authorization: Bearer BOT_TOKEN` and
     * `x-can-community-id: ORIGIN_COMMUNITY_ID` would come here: CANDHOOK_RETRY when the API cannot be reached. This
     * may be called again for an event whose attempt was lost, so what it changes elsewhere should depend on event_id.
     */
    return candhook->answer(call, CANDHOOK_OK, "product %s of %s in %s, attempt %d", product,
                            call->profile_id ? call->profile_id : "nobody", call->origin_community_id, call->attempt);
}
