create or replace function candhook_internal.hold(handler text, ids uuid[], communities text[])
returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
-- Holds those of a handler's deliveries whose bot token is missing, and returns the events of the others. A held
-- delivery gets no outcome, and the attempt of a leased one is not counted. It is checked again after half of the
-- event's age, at least 30 seconds and at most an hour; storing the token releases it at once (trigger
-- bot_token_stored). `communities` are those of all deliveries: mostly all have their tokens, and then nothing else is
-- read.
--
-- Why no token is missed: the caller has locked the deliveries before this function looks for tokens with a newer
-- snapshot, and the trigger takes an exclusive advisory lock before it searches held deliveries, and keeps it until its
-- transaction ends.
--   - The token is visible: the delivery is not held.
--   - It is not visible, and the shared lock is free: the trigger has not begun. It will wait for this transaction, and
--     then find the held delivery.
--   - It is not visible, and the lock is taken: a token, of whatever community, is being committed. Check again in a
--     second.
declare
    lacking uuid[] := ids;
    rows tid[]; -- their ctids
    attempts integer[];
    failures integer[];
    received timestamptz[];
    lock_shared boolean;
begin
    if not exists (select from (select distinct c.id from unnest(communities) as c (id)) c
                    where (select t.valid from candhook.bot_token t where t.origin_community_id = c.id) is not true) then
        return ids;
    end if;

    -- Once to find out which are lacking, and once more behind the lock.
    for pass in 1 .. 2 loop
        select array_agg(l.id), array_agg(d.ctid), array_agg(d.attempt), array_agg(d.failures), array_agg(d.received_at)
          into lacking, rows, attempts, failures, received
          from unnest(lacking) as l (id)
         cross join lateral (
               select d.ctid, d.attempt - (d.lease is not null)::integer as attempt, d.failures, d.received_at,
                      d.origin_community_id
                 from candhook.delivery d
                where d.received_at = candhook.received_at(l.id) and d.event_id = l.id
                  and coalesce(d.handler, '') = hold.handler
                limit 1) d
         where (select t.valid from candhook.bot_token t where t.origin_community_id = d.origin_community_id) is not true;
        if lacking is null then
            return ids;
        end if;
        if pass = 1 then
            lock_shared := pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token'));
        end if;
    end loop;

    perform candhook_internal.put_off(
        rows, attempts, failures, array_fill(true, array[cardinality(rows)]),
        array(select clock_timestamp()
                     + case when lock_shared
                            then least(interval '1 hour', greatest(interval '30 seconds', (clock_timestamp() - r.at) / 2))
                            else interval '1 second' end
                from unnest(received) with ordinality as r (at, number)
               order by r.number));
    return array(select i.id from unnest(ids) as i (id) where i.id not in (select l.id from unnest(lacking) as l (id)));
end
$$;
comment on function candhook_internal.hold(text, uuid[], text[]) is
    'holds those of the deliveries, locked by the caller, whose bot token is missing, without counting an attempt; '
    'returns the events of the others';
