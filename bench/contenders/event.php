<?php
// SPDX-License-Identifier: ISC
//
// PHP-FPM with 16 children behind nginx, answering after the commit. Each child keeps its connection (pg_pconnect); with
// pg_connect, a connection for each request, it does about a tenth of this.
$body = file_get_contents('php://input');
$event = json_decode($body);
if (!$event || !($db = @pg_pconnect(getenv('DATABASE')))) {
    http_response_code($event ? 500 : 400);
    exit;
}
$good = pg_query($db, 'begin')
    && ($row = pg_query_params($db, 'insert into peer.event (body) values ($1) returning id', [$body]))
    && ($token = pg_query_params($db, 'select token from peer.bot_token where origin_community_id = $1',
        [$event->context->originCommunityId]))
    && pg_query_params($db, 'insert into peer.outcome (event_id, result) values ($1, $2)',
        [pg_fetch_result($row, 0, 0), pg_num_rows($token) ? 'ok' : 'no token'])
    && pg_query($db, 'commit');
http_response_code($good ? 200 : 500);
