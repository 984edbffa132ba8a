create or replace function candhook.leased(lease bigint, ids uuid[] default null, handler text default null,
                                           batch integer default null)
returns table (event candhook.event, bot_token text, target text, place tid)
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
-- claim them meanwhile however long it runs. Without a lease, up to `batch` deliveries of `handler` that are due, from the
-- one of the event in `ids` on, which claim has locked. What lacks its token is parked.
declare
    wanted candhook.handler;
    taken uuid[];
    rows tid[]; -- where they lie
    communities text[];
    ready uuid[];
    given bigint;
    gone tid[];
begin
    if lease is not null then
        with held as materialized (
            select d.ctid as place, d.event_id, d.handler, d.origin_community_id
              from candhook.delivery d
             where d.lease = leased.lease and (ids is null or d.event_id = any (ids))
             order by (d.received_at, d.event_id) -- in brackets no index has this order: found by lease, then sorted
               for update
        )
        select array_agg(h.event_id), array_agg(h.place), array_agg(distinct h.origin_community_id), min(h.handler)
          into taken, rows, communities, leased.handler
          from held h;
    end if;
    select h.* into wanted
      from candhook.handler h
     where h.name = leased.handler and h.kind = 'sql'
       and (lease is not null or (h.enabled and h.ordered_by = 'none')); -- which may have changed since the claim
    if wanted.name is null then
        return;
    end if;
    if lease is null then
        select t.taken, t.rows, t.communities into taken, rows, communities
          from candhook.take(wanted, null, null, batch, false,
                             (select d.due_at from candhook.delivery d
                               where d.received_at = candhook.received_at(ids[1]) and d.event_id = ids[1]
                                 and coalesce(d.handler, '') = wanted.name),
                             clock_timestamp()) t;
    end if;

    if wanted.needs_token then
        ready := candhook.park(wanted.name, taken, communities);
        if cardinality(ready) < cardinality(taken) then
            select array_agg(r.id), array_agg(r.place) into taken, rows
              from unnest(taken, rows) as r (id, place)
             where r.id = any (ready);
        end if;
    end if;

    return query
    select e.event, t.token, wanted.target, r.place
      from unnest(taken, rows) as r (id, place)
     cross join lateral (
           select e as event, e.origin_community_id
             from candhook.event e
            where e.received_at = candhook.received_at(r.id) and e.id = r.id
            limit 1) e
      left join lateral (
           select t.token
             from candhook.bot_token t
            where wanted.needs_token and t.valid and t.origin_community_id = e.origin_community_id
            limit 1) t on true
     where t.token is not null or not wanted.needs_token
     order by r.id; -- which begins with the time of receipt

    -- The event was dropped, with its month: nothing is left to handle, nor to tell about.
    get diagnostics given = row_count;
    if given < cardinality(taken) then
        select array_agg(r.place) into gone
          from unnest(taken, rows) as r (id, place)
         where (select true from candhook.event e where e.received_at = candhook.received_at(r.id) and e.id = r.id) is null;
        perform candhook.settle(gone);
    end if;
end
$$;
comment on function candhook.leased(bigint, uuid[], text, integer) is
    'the events of a lease, or without one, of up to `batch` due deliveries of a handler, with token and target, and where '
    'the delivery lies, which is locked until the transaction ends; a part of candhook.run_sql';
