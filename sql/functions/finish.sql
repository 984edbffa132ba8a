create or replace function candhook.finish(lease bigint, ids uuid[], results text[], details text[],
                                           started_at timestamptz[], finished_at timestamptz[])
returns table (event_id uuid, result text, detail text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- Records what came of attempts, and settles their deliveries or puts them off: the one place of the rules for
-- retries. The results are 'ok', 'retry' and 'failed'; 'retry' is recorded as 'failed' when the attempts are used up.
-- What this lease no longer holds is left out: somebody else has it, or it is settled. The lease is compared through
-- coalesce so that each delivery is found by its key: found by the lease, all would be compared with all.
declare
    policy candhook.handler;
begin
    if not results <@ array['ok', 'retry', 'failed'] or array_position(results, null) is not null then
        raise exception 'candhook.finish: a result is ok, retry or failed, not %', results
            using errcode = 'invalid_parameter_value';
    end if;

    select h.* into policy
      from candhook.handler h
     where h.name = (select d.handler from candhook.delivery d where d.lease = finish.lease limit 1);

    return query
    with given as materialized (
        select g.*, candhook.received_at(g.id) as received_at
          from unnest(ids, results, details, started_at, finished_at) as g (id, result, detail, started_at, finished_at)
    ), settled as (
        delete from candhook.delivery d
         using given g
         where d.received_at = g.received_at and d.event_id = g.id and d.handler = policy.name
           and coalesce(d.lease, 0) = finish.lease
           and (g.result <> 'retry' or d.attempt >= policy.max_attempts)
        returning d.origin_community_id, d.attempt, case g.result when 'ok' then 'ok' else 'failed' end as recorded, g.*
    ), put_off as (
        update candhook.delivery d
           set lease = null, worker = null,
               due_at = clock_timestamp()
                        + candhook.backoff(d.attempt, policy.first_delay, policy.backoff_factor, policy.max_delay)
          from given g
         where d.received_at = g.received_at and d.event_id = g.id and d.handler = policy.name
           and coalesce(d.lease, 0) = finish.lease
           and g.result = 'retry' and d.attempt < policy.max_attempts
        returning d.origin_community_id, d.attempt, 'retry' as recorded, g.*
    ), done as (
        insert into candhook.outcome as o
               (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
        select a.id, a.received_at, policy.name, a.attempt, a.recorded,
               left(candhook.masked(a.detail, t.token), 4000), a.started_at, a.finished_at
          from (select * from settled union all select * from put_off) a
          left join candhook.bot_token t on t.origin_community_id = a.origin_community_id
        returning o.event_id, o.result, o.detail
    )
    select * from done;
end
$$;
comment on function candhook.finish(bigint, uuid[], text[], text[], timestamptz[], timestamptz[]) is
    'records what came of leased attempts (ok, retry, failed) and settles or puts off their deliveries; returns '
    'what was recorded '
    'of those that the lease still holds';
