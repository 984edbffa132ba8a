create or replace function candhook_internal.leased(lease bigint, among uuid[] default null, out target text, out ids uuid[],
                                                    out events candhook.event[], out tokens text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- What run_sql runs: the events of a lease (with `among`, only these) in order of receipt, their ids and bot tokens; and the
-- handler's target. The deliveries are locked until the transaction ends, so nobody can claim them however long it runs.
-- Deliveries whose token is missing are held. Only the first 8 MiB of events are given, but one at least. All null when there
-- is nothing to run.
declare
    held uuid[];
    communities text[];
    chosen candhook.handler;
begin
    select h.* into chosen
      from candhook.handler h
     where h.kind = 'sql' and h.name = (select d.handler from candhook.delivery d where d.lease = leased.lease limit 1);
    if not found then
        return;
    end if;
    with locked as materialized (
        select d.event_id, d.origin_community_id
          from candhook.delivery d
         where d.lease = leased.lease and (among is null or d.event_id = any (among))
         order by (d.received_at, d.event_id) -- a row has no index: found by lease, then sorted
           for update
    )
    select array_agg(l.event_id), array_agg(l.origin_community_id) into held, communities from locked l;
    if chosen.needs_token then
        held := candhook_internal.hold(chosen.name, held, communities);
    end if;

    select chosen.target, array_agg(r.id), array_agg(r.event), array_agg(r.token) into target, ids, events, tokens
      from (select e.*, t.token, sum(pg_column_size((e.event).payload)) over (order by e.id) as bytes,
                   row_number() over (order by e.id) as number -- a UUIDv7 begins with the time of receipt
              from (select g.id, candhook.received_at(g.id) as received_at from (select unnest(held) as id) g offset 0) g
             cross join lateral (
                   select e.id, e as event
                     from candhook.event e
                    where e.received_at = g.received_at and e.id = g.id
                    limit 1) e
              left join lateral (
                   select t.token
                     from candhook.bot_token t
                    where chosen.needs_token and t.valid and t.origin_community_id = (e.event).origin_community_id
                    limit 1) t on true
             where not chosen.needs_token or t.token is not null) r
     where r.bytes <= 8388608 or r.number = 1;
end
$$;
comment on function candhook_internal.leased(bigint, uuid[]) is
    'the events of a lease with their bot tokens, and the handler''s target; locks the deliveries until the transaction '
    'ends; a part of candhook_internal.run_sql';
