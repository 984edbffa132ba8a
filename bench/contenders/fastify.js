// SPDX-License-Identifier: ISC
//
// Fastify with pg, answering after the commit. One process; the pool has the size that pg documents as its default.
const fastify = require('fastify')();
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE, max: 10 });
pool.on('error', (error) => console.error(error.message));

async function handle(event) {
    const client = await pool.connect();
    try {
        await client.query('begin');
        const { rows: [{ id }] } = await client.query('insert into peer.event (body) values ($1) returning id', [event]);
        const { rows } = await client.query('select token from peer.bot_token where origin_community_id = $1',
            [event.context.originCommunityId]);
        await client.query('insert into peer.outcome (event_id, result) values ($1, $2)',
            [id, rows.length ? 'ok' : 'no token']);
        await client.query('commit');
        client.release();
    } catch (error) {
        client.release(error);
        throw error;
    }
}

fastify.post('/webhook', async (request, reply) => {
    await handle(request.body);
    return reply.send();
});
fastify.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
