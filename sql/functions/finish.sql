create or replace function candhook.finish(lease bigint, ids uuid[], results text[], details text[],
                                           started_at timestamptz[], finished_at timestamptz[],
                                           delays integer[] default null, handler text default null)
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
-- Records what came of attempts, and settles their deliveries or puts them off: the one place of the rules for
-- retries. The results are 'ok', 'retry' and 'failed'; 'retry' is recorded as 'failed' when the attempts are used up,
-- and 'failed' as 'retry' when the community's bot token was refused meanwhile: then the delivery is held for a new one,
-- and the attempt is forgiven. A delay, in seconds, is the least that a retry waits, as whoever was asked wished; a day
-- at most.
--
-- What this lease no longer holds is left out: somebody else has it, or it is settled. The lease and the handler are
-- compared through coalesce so that each delivery is found by its key: found by the lease, all would be compared with
-- all, and found by the handler, with all that waits for it (a plan made while the table was small would do that).
--
-- Without a lease these are attempts at deliveries of `handler` that the caller's transaction has only locked: nobody has
-- counted them yet.
declare
    policy candhook.handler;
    token_wait interval := '30 seconds';
    uncounted constant integer := (finish.lease is null)::integer;
begin
    if not results <@ array['ok', 'retry', 'failed'] or array_position(results, null) is not null then
        raise exception 'candhook.finish: a result is ok, retry or failed, not %', results
            using errcode = 'invalid_parameter_value';
    end if;

    select h.* into policy
      from candhook.handler h
     where h.name = case when finish.lease is null then finish.handler
                         else (select d.handler from candhook.delivery d where d.lease = finish.lease limit 1) end;

    -- No token is missed, for the reasons that park tells: lock first, then look, in a statement of its own.
    if policy.needs_token and results && array['retry', 'failed']
       and not pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token')) then
        token_wait := '1 second';
    end if;

    return query
    with said as materialized (
        select g.*, candhook.received_at(g.id) as received_at
          from unnest(ids, results, details, started_at, finished_at, delays)
               as g (id, result, detail, started_at, finished_at, delay)
    ), succeeded as (
        delete from candhook.delivery d
         using said g
         where d.received_at = g.received_at and d.event_id = g.id and coalesce(d.handler, '') = policy.name
           and coalesce(d.lease, 0) = coalesce(finish.lease, 0)
           and g.result = 'ok'
        returning g.*, d.attempt + uncounted as attempt,
                  (select t.token from candhook.bot_token t where t.origin_community_id = d.origin_community_id) as token,
                  'ok' as verdict
    ), failing as materialized (
        select g.*, d.attempt + uncounted as attempt, t.token,
               case when policy.needs_token and t.valid is not true then 'held'
                    when g.result = 'retry' and d.attempt + uncounted - d.forgiven < policy.max_attempts then 'retry'
                    else 'failed' end as verdict
          from said g
          join candhook.delivery d
            on d.received_at = g.received_at and d.event_id = g.id and coalesce(d.handler, '') = policy.name
          left join candhook.bot_token t on t.origin_community_id = d.origin_community_id
         where coalesce(d.lease, 0) = coalesce(finish.lease, 0) and g.result <> 'ok'
    ), settled as (
        delete from candhook.delivery d
         using failing g
         where d.received_at = g.received_at and d.event_id = g.id and coalesce(d.handler, '') = policy.name
           and coalesce(d.lease, 0) = coalesce(finish.lease, 0)
           and g.verdict = 'failed'
        returning g.*
    ), put_off as (
        update candhook.delivery d
           set lease = null, worker = null, attempt = g.attempt, held = g.verdict = 'held',
               forgiven = d.forgiven + (g.verdict = 'held')::integer,
               due_at = clock_timestamp()
                        + case when g.verdict = 'held' then token_wait
                               else greatest(candhook.backoff(g.attempt - d.forgiven, policy),
                                             least(coalesce(g.delay, 0), 86400) * interval '1 second') end
          from failing g
         where d.received_at = g.received_at and d.event_id = g.id and coalesce(d.handler, '') = policy.name
           and coalesce(d.lease, 0) = coalesce(finish.lease, 0)
           and g.verdict in ('retry', 'held')
        returning g.*
    ), done as (
        insert into candhook.outcome as o
               (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
        select a.id, a.received_at, policy.name, a.attempt, case a.verdict when 'held' then 'retry' else a.verdict end,
               left(candhook.masked(a.detail, a.token), 4000), a.started_at, a.finished_at
          from (select * from succeeded union all select * from settled union all select * from put_off) a
        returning o.event_id, o.result, o.detail
    )
    select * from done;
end
$$;
comment on function candhook.finish(bigint, uuid[], text[], text[], timestamptz[], timestamptz[], integer[], text) is
    'records what came of leased attempts (ok, retry, failed) and settles or puts off their deliveries, for at least the '
    'delays in seconds; returns what was recorded of those that the lease still holds; without a lease, of deliveries of '
    'the handler that this transaction has locked';
