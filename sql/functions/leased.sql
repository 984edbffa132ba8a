create or replace function candhook.leased(lease bigint, ids uuid[] default null, handler text default null)
returns table (event candhook.event, bot_token text, target text)
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
-- What run_sql runs: the events of a lease (with `ids`, only those), locked until the transaction ends, so that nobody can
-- claim them meanwhile however long it runs. What has lost its token since it was claimed is parked. Without a lease,
-- `ids` are what this transaction's claim has locked for the handler; what has lost its token is left out.
declare
    ready uuid[] := ids;
    wanted candhook.handler;
begin
    if lease is not null then
        with held as materialized (
            select d.event_id, d.handler
              from candhook.delivery d
             where d.lease = leased.lease and (ids is null or d.event_id = any (ids))
             order by (d.received_at, d.event_id) -- in brackets no index has this order: found by lease, then sorted
               for update
        )
        select array_agg(h.event_id), min(h.handler) into ready, leased.handler from held h;
    end if;

    select h.* into wanted from candhook.handler h where h.name = leased.handler and h.kind = 'sql';
    if lease is not null and wanted.needs_token then
        ready := candhook.park(wanted.name, ready);
    end if;

    return query
    select e, t.token, wanted.target
      from unnest(ready) as r (id)
      join candhook.event e on e.received_at = candhook.received_at(r.id) and e.id = r.id
      left join candhook.bot_token t
        on wanted.needs_token and t.valid and t.origin_community_id = e.origin_community_id
     where wanted.name is not null and (t.token is not null or not wanted.needs_token)
     order by r.id; -- which begins with the time of receipt
end
$$;
comment on function candhook.leased(bigint, uuid[], text) is
    'the events of a lease, locked until the transaction ends, or those that a claim with only_lock has locked for the '
    'handler, with token and target; a part of candhook.run_sql';
