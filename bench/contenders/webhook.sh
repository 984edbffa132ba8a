#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What Debian's webhook runs for each event: the whole body is its argument. The hook includes the script's output in
# the response, so that it is answered after the commit (left to itself, webhook answers first).
exec psql -XAtq -v ON_ERROR_STOP=1 -v "body=$1" "$DATABASE" <<'SQL'
begin;
insert into peer.event (body) values (:'body') returning id, body -> 'context' ->> 'originCommunityId' as community \gset
select coalesce((select 'ok' from peer.bot_token where origin_community_id = :'community'), 'no token') as result \gset
insert into peer.outcome (event_id, result) values (:id, :'result');
commit;
SQL
