#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A handler of kind exec, the documentation's example: asks the canD API for a new product, with the bot token of its
# origin community. Put what you want to do with the product where the comment says.
#
# Install:  install -m 755 product_created.sh $(pkg-config --variable=handlerdir candhook)
#           psql -d candhook -c "select candhook.add_handler('ask for product', 'MOIM', 'product.created',
#               'exec', 'product_created.sh', needs_token => true)"
# Try:      candhook send https://your.site/candhook/SECRET --type product.created
#           psql -d candhook -c 'select * from candhook.recent limit 5'
#
# The event is on stdin, its ids are in the environment. What is printed is kept with the outcome. Exit status 0: done.
# 75: to be tried again. Any other: failed, and tried again as well, up to max_attempts.
set -u

# The id of the payload, which is JSON; jq does the same better: id=$(jq -r .payload.id)
id=$(sed -n 's/.*"payload"[^{]*{[^}]*"id"[^"]*"\([^"]*\)".*/\1/p')
if [ -z "$id" ]; then
    echo "the payload has no id"
    exit 0
fi

# The token is not needed here: candhook api takes that of $CANDHOOK_ORIGIN_COMMUNITY_ID.
product=$(candhook api GET "/products/$id") || exit 75

# Here is the product, as JSON. This may be run again for an event whose attempt was lost, so what it changes elsewhere
# should depend on $CANDHOOK_EVENT_ID.
echo "product $id in $CANDHOOK_ORIGIN_COMMUNITY_ID, attempt $CANDHOOK_ATTEMPT: ${#product} bytes"
