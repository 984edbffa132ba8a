create or replace function candhook.park(handler text, ids uuid[], communities text[])
returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
-- Puts by which of these deliveries of a handler lack the bot token that it needs: no attempt, no outcome, and when they
-- are leased that is not counted. They are looked at again after half the event's age, within 30 seconds to an hour;
-- storing the token releases them at once (trigger bot_token_stored). Returns the others. `communities` are those of all:
-- mostly they all have their tokens, and nothing else is looked at.
--
-- Why no token is missed: the caller has locked the deliveries before this looks for tokens with a newer snapshot,
-- and the trigger holds an exclusive advisory lock from before it looks for held deliveries until its transaction has
-- ended.
--   - The token is visible: nothing is parked.
--   - It is not, and the shared lock is free: the trigger has not begun. It will wait for this transaction, and then
--     find what was parked.
--   - It is not, and the lock is taken: a token, of whatever community, is being committed right now. Look again in a second.
declare
    lacking uuid[] := ids;
    rows tid[]; -- where they lie
    attempts integer[];
    forgiven integer[];
    received timestamptz[];
    settled boolean;
begin
    if not exists (select from (select distinct c.id from unnest(communities) as c (id)) c
                    where (select t.valid from candhook.bot_token t where t.origin_community_id = c.id) is not true) then
        return ids;
    end if;

    for look in 1 .. 2 loop
        select array_agg(l.id), array_agg(d.place), array_agg(d.attempt), array_agg(d.forgiven), array_agg(d.received_at)
          into lacking, rows, attempts, forgiven, received
          from unnest(lacking) as l (id)
         cross join lateral (
               select d.ctid as place, d.attempt - (d.lease is not null)::integer as attempt, d.forgiven, d.received_at,
                      d.origin_community_id
                 from candhook.delivery d
                where d.received_at = candhook.received_at(l.id) and d.event_id = l.id
                  and coalesce(d.handler, '') = park.handler
                limit 1) d
         where (select t.valid from candhook.bot_token t where t.origin_community_id = d.origin_community_id) is not true;
        if lacking is null then
            return ids;
        end if;
        if look = 1 then
            settled := pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token'));
        end if;
    end loop;

    perform candhook.put_off(
        rows, attempts, forgiven, array_fill(true, array[cardinality(rows)]),
        array(select clock_timestamp()
                     + case when settled
                            then least(interval '1 hour', greatest(interval '30 seconds', (clock_timestamp() - r.at) / 2))
                            else interval '1 second' end
                from unnest(received) with ordinality as r (at, number)
               order by r.number));
    return array(select i.id from unnest(ids) as i (id) where i.id not in (select l.id from unnest(lacking) as l (id)));
end
$$;
comment on function candhook.park(text, uuid[], text[]) is
    'puts by which of these deliveries, locked by the caller, of a handler that needs a token have none: held, without an '
    'attempt; returns the events of the others';
