// SPDX-License-Identifier: ISC
//
// Express as the platform's documentation writes a webhook: read the body, end the response with nothing in it, then
// do the business logic; its tables are in PostgreSQL. ANSWER=first is that order; ANSWER=commit ends the response
// after the commit. One process, as shown there; the pool has the size that pg documents as its default.
const express = require('express');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE, max: 10 });
pool.on('error', (error) => console.error(error.message)); // an idle connection that ends is no reason to end

const app = express();
app.use(express.json());

async function handle(event) {
    const client = await pool.connect();
    try {
        await client.query('begin');
        const { rows: [{ id }] } = await client.query('insert into peer.event (body) values ($1) returning id', [event]);
        let result = 'unhandled';
        switch (`${event.module}:${event.type}`) {
        case 'MOIM:product.created': {
            const { rows } = await client.query('select token from peer.bot_token where origin_community_id = $1',
                [event.context.originCommunityId]);
            result = rows.length ? 'ok' : 'no token';
            break;
        }
        default:
            console.warn(`No case statement for ${event.module}:${event.type} event`);
        }
        await client.query('insert into peer.outcome (event_id, result) values ($1, $2)', [id, result]);
        await client.query('commit');
        client.release();
    } catch (error) {
        client.release(error); // the connection is not used again
        throw error;
    }
}

app.post('/webhook', async (request, response) => {
    if (process.env.ANSWER === 'first') {
        response.end();
        await handle(request.body).catch((error) => console.error(error.message));
    } else {
        await handle(request.body);
        response.end();
    }
});
app.use((error, request, response, next) => response.status(500).end());
app.listen(Number(process.env.PORT), '127.0.0.1');
