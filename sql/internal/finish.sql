create or replace function candhook_internal.finish(lease bigint, ids uuid[], results text[], details text[],
                                                    started_at timestamptz[], finished_at timestamptz[],
                                                    delays bigint[] default null)
returns table (event_id uuid, result text, detail text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- Records the outcomes of attempts, and settles their deliveries or makes them due later. All rules for retries are
-- here. A result is 'ok', 'retry' or 'failed'. 'retry' is recorded as 'failed' after the last of max_attempts. When the
-- community's bot token was refused meanwhile, 'retry' and 'failed' are recorded as 'retry', and the delivery is held
-- for a new token without counting a failure. `delays`, in seconds, are lower limits of the back-off (Retry-After), a
-- day at most.
--
-- Deliveries that the lease does not hold any more are left out: another claim has them, or they are settled. Each one is
-- looked up alone and by its key: coalesce(handler) keeps the planner off the other indexes. A plan made while the table
-- was small would compare every row with every other, or read all that waits for the handler.
declare
    policy candhook.handler;
    token_wait interval := '30 seconds';
    rows tid[]; -- ctids of the deliveries
    settled tid[]; -- ctids of deliveries to be settled,
    later tid[]; -- and of those that are due later
    attempts integer[];
    failures integer[];
    held boolean[];
    due_at timestamptz[];
begin
    if not results <@ array['ok', 'retry', 'failed'] or array_position(results, null) is not null then
        raise exception 'candhook_internal.finish: a result is ok, retry or failed, not %', results
            using errcode = 'invalid_parameter_value';
    end if;

    select h.* into policy
      from candhook.handler h
     where h.name = (select d.handler from candhook.delivery d where d.lease = finish.lease limit 1);

    -- No token is missed, for the reasons given in `hold`: lock first, then look for it in a statement of its own.
    if policy.needs_token and results && array['retry', 'failed']
       and not pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token')) then
        token_wait := '1 second';
    end if;

    rows := array(select (select d.ctid
                            from candhook.delivery d
                           where d.received_at = candhook.received_at(g.id) and d.event_id = g.id
                             and coalesce(d.handler, '') = policy.name and d.lease = finish.lease
                             for update)
                    from unnest(ids) with ordinality as g (id, number)
                   order by g.number);

    with found as materialized (
        select g.id, g.started_at, g.finished_at, g.delay, left(candhook_internal.masked(g.detail, t.token), 4000) as detail,
               g.ctid_of, d.received_at, d.attempt, d.failures,
               case when g.result = 'ok' then 'ok'
                    when policy.needs_token and t.valid is not true then 'held'
                    when g.result = 'retry' and d.failures + 1 < policy.max_attempts then 'retry'
                    else 'failed' end as verdict
          from (select unnest(ids) as id, unnest(results) as result, unnest(details) as detail,
                       unnest(started_at) as started_at, unnest(finished_at) as finished_at, unnest(delays) as delay,
                       unnest(rows) as ctid_of) g
         cross join lateral (
               select d.received_at, d.attempt, d.failures, d.origin_community_id
                 from candhook.delivery d
                where d.ctid = g.ctid_of and d.lease = finish.lease
                limit 1) d
          left join lateral (
               select t.token, t.valid
                 from candhook.bot_token t
                where t.origin_community_id = d.origin_community_id and (g.result <> 'ok' or g.detail is not null)
                limit 1) t on true
    ), recorded as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
        select f.id, f.received_at, policy.name, f.attempt, case f.verdict when 'held' then 'retry' else f.verdict end,
               f.detail, f.started_at, f.finished_at
          from found f
    )
    select array_agg(f.id), array_agg(case f.verdict when 'held' then 'retry' else f.verdict end), array_agg(f.detail),
           array_agg(f.ctid_of) filter (where f.verdict in ('ok', 'failed')),
           array_agg(f.ctid_of) filter (where f.verdict in ('retry', 'held')),
           array_agg(f.attempt) filter (where f.verdict in ('retry', 'held')),
           array_agg(f.failures + (f.verdict = 'retry')::integer) filter (where f.verdict in ('retry', 'held')),
           array_agg(f.verdict = 'held') filter (where f.verdict in ('retry', 'held')),
           array_agg(clock_timestamp()
                     + case when f.verdict = 'held' then token_wait
                            else greatest(candhook_internal.backoff(f.failures + 1, policy),
                                          least(coalesce(f.delay, 0), 86400) * interval '1 second') end)
               filter (where f.verdict in ('retry', 'held'))
      into ids, results, details, settled, later, attempts, failures, held, due_at
      from found f;

    perform candhook_internal.settle(settled);
    if later is not null then
        perform candhook_internal.put_off(later, attempts, failures, held, due_at);
    end if;
    return query select * from unnest(ids, results, details);
end
$$;
comment on function candhook_internal.finish(bigint, uuid[], text[], text[], timestamptz[], timestamptz[], bigint[]) is
    'records the outcomes of leased attempts (ok, retry, failed), and settles their deliveries or retries them after '
    'at least the delays in seconds; returns the outcomes of those that the lease still holds';
