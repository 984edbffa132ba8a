create or replace function candhook.leased(lease bigint, one uuid)
returns table (event candhook.event, bot_token text, target text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- What run_sql runs: the events of a lease (with `one`, only that one), locked until the transaction ends, so that
-- nobody can claim them meanwhile however long it runs. What has lost its token since it was claimed is parked.
declare
    wanted candhook.handler;
begin
    perform from candhook.delivery d
      where d.lease = leased.lease and (one is null or d.event_id = one)
      order by (d.received_at, d.event_id) -- in brackets no index has this order: found by lease, then sorted
        for update;

    select h.* into wanted
      from candhook.handler h
     where h.name = (select d.handler from candhook.delivery d where d.lease = leased.lease limit 1);
    if wanted.needs_token then
        perform candhook.park(leased.lease);
    end if;

    return query
    select e, t.token, wanted.target
      from candhook.delivery d
      join candhook.event e on e.received_at = d.received_at and e.id = d.event_id
      left join candhook.bot_token t
        on wanted.needs_token and t.valid and t.origin_community_id = d.origin_community_id
     where d.lease = leased.lease and (one is null or d.event_id = one) and wanted.kind = 'sql'
       and (t.token is not null or not wanted.needs_token)
     order by (d.received_at, d.event_id);
end
$$;
comment on function candhook.leased(bigint, uuid) is
    'the events of a lease with token and target, locked until the transaction ends; a part of candhook.run_sql';
