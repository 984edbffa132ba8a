create or replace function candhook_internal.leased(lease bigint, ids uuid[] default null, handler text default null,
                                                    batch integer default null,
                                                    out events uuid[], out tokens text[], out rows tid[], out target text)
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
-- What run_sql runs: the events of a lease (with `ids`, only these), their bot tokens and the ctids of their
-- deliveries, in order of receipt; and the handler's target. The deliveries are locked until the transaction ends, so
-- nobody can claim them however long it runs. Without a lease: up to `batch` due deliveries of `handler`, beginning
-- with the one of the event in `ids`, which claim has locked. Deliveries whose token is missing are held. All null when
-- there is nothing to run.
declare
    wanted candhook.handler;
    communities text[];
    ready uuid[];
    all_ready boolean;
begin
    if lease is not null then
        with held as materialized (
            select d.ctid as ctid_of, d.event_id, d.handler, d.origin_community_id
              from candhook.delivery d
             where d.lease = leased.lease and (ids is null or d.event_id = any (ids))
             order by (d.received_at, d.event_id) -- a row has no index: found by lease, then sorted
               for update
        )
        select array_agg(h.event_id), array_agg(h.ctid_of), array_agg(h.origin_community_id), min(h.handler)
          into events, rows, communities, leased.handler
          from held h;
    end if;
    select h.* into wanted
      from candhook.handler h
     where h.name = leased.handler and h.kind = 'sql'
       and (lease is not null or (h.enabled and h.ordered_by = 'none')); -- it may have changed since the claim
    if wanted.name is null then
        events := null;
        return;
    end if;
    target := wanted.target;
    if lease is null then
        select t.taken, t.rows, t.communities into events, rows, communities
          from candhook_internal.take_due(wanted, null, null, batch, false,
                                          (select d.due_at from candhook.delivery d
                                            where d.received_at = candhook.received_at(ids[1]) and d.event_id = ids[1]
                                              and coalesce(d.handler, '') = wanted.name),
                                          clock_timestamp()) t;
    end if;

    if wanted.needs_token then
        ready := candhook_internal.hold(wanted.name, events, communities);
        all_ready := cardinality(ready) = cardinality(events);
    end if;
    select array_agg(r.id), array_agg(r.token), array_agg(r.ctid_of) into events, tokens, rows
      from (select r.id, t.token, r.ctid_of
              from (select unnest(events) as id, unnest(communities) as community, unnest(rows) as ctid_of) r
              left join lateral (
                   select t.token
                     from candhook.bot_token t
                    where wanted.needs_token and t.valid and t.origin_community_id = r.community
                    limit 1) t on true
             where not wanted.needs_token or (t.token is not null and (all_ready or r.id = any (ready)))
             order by r.id) r; -- a UUIDv7 begins with the time of receipt
end
$$;
comment on function candhook_internal.leased(bigint, uuid[], text, integer) is
    'the events of a lease, or without one, of up to `batch` due deliveries of a handler: their ids, tokens, the '
    'ctids of their deliveries, which are locked until the transaction ends, and the target; a part of '
    'candhook_internal.run_sql';
