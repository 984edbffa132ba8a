// SPDX-License-Identifier: ISC
//
// A handler of kind http: the documented way to take canD's webhooks, as a web service of its own. candhook stands in
// front of it: it takes the events, keeps them, and posts them here until they are done.
//
// Run:      PORT=3000 node webhook.mjs
// Install:  psql -d candhook -c "select candhook.add_handler('web service', 'MOIM', 'product.*',
//               'http', 'http://localhost:3000/webhook', needs_token => true)"
// Try:      candhook send https://your.site/candhook/SECRET --type product.created
//           psql -d candhook -c 'select * from candhook.recent limit 5'
//
// What differs from a service that canD posts to directly: it answers when the work is done, not before. 2xx: done. 503,
// or no answer at all: to be tried again (not before Retry-After). 4xx: no use trying again. And it is given the bot token
// as `Authorization: Bearer`, the event's id as Candhook-Event-Id, and the number of the attempt as Candhook-Attempt.
import { createServer } from 'node:http';

const api = process.env.CAND_API ?? 'https://api.cand.xyz';

async function handle(event, headers) {
    switch (`${event.module}:${event.type}`) {
        case 'MOIM:product.created': {
            const answer = await fetch(`${api}/products/${encodeURIComponent(event.payload.id)}`, {
                headers: { authorization: headers.authorization, 'x-can-community-id': event.context.originCommunityId },
            });
            if (!answer.ok) return [503, `the API answered ${answer.status}`];
            const product = await answer.json();
            // Here is the product. An event may come again after a lost attempt: let the effect depend on its id.
            return [200, `product ${product.id}, event ${headers['candhook-event-id']}`];
        }
        default:
            return [404, `no case for ${event.module}:${event.type}`];
    }
}

const server = createServer(async (request, response) => {
    let status = 503, text = '';
    try {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        [status, text] = await handle(JSON.parse(Buffer.concat(chunks).toString()), request.headers);
    } catch (error) {
        text = error.message;
    }
    response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
});
server.listen(process.env.PORT ?? 3000, '127.0.0.1', () => console.log(`listening on port ${server.address().port}`));
