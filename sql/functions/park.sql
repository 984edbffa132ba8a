create or replace function candhook.park(handler text, ids uuid[])
returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
-- Puts by which of these deliveries of a handler lack the bot token that it needs: no attempt, no outcome, and when they
-- are leased that is not counted. They are looked at again after half the event's age, within 30 seconds to an hour;
-- storing the token releases them at once (trigger bot_token_stored). Returns the others.
--
-- Why no token is missed: the caller has locked the deliveries before this looks for tokens with a newer snapshot,
-- and the trigger holds an exclusive advisory lock from before it looks for held deliveries until its transaction has
-- ended.
--   - The token is visible: nothing is parked.
--   - It is not, and the shared lock is free: the trigger has not begun. It will wait for this transaction, and then
--     find what was parked.
--   - It is not, and the lock is taken: a token, of whatever community, is being committed right now. Look again in a second.
declare
    lacking uuid[];
    settled boolean;
begin
    lacking := array(select d.event_id
                       from unnest(ids) as i (id)
                       join candhook.delivery d
                         on d.received_at = candhook.received_at(i.id) and d.event_id = i.id
                            and coalesce(d.handler, '') = park.handler
                      where not exists (select from candhook.bot_token t
                                         where t.origin_community_id = d.origin_community_id and t.valid));
    if lacking = '{}' then
        return ids;
    end if;

    settled := pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token'));
    with parked as (
        update candhook.delivery d
           set lease = null, worker = null, attempt = d.attempt - (d.lease is not null)::integer, held = true,
               due_at = clock_timestamp()
                        + case when settled
                               then least(interval '1 hour',
                                          greatest(interval '30 seconds', (clock_timestamp() - d.received_at) / 2))
                               else interval '1 second' end
          from unnest(lacking) as i (id)
         where d.received_at = candhook.received_at(i.id) and d.event_id = i.id and coalesce(d.handler, '') = park.handler
           and not exists (select from candhook.bot_token t
                            where t.origin_community_id = d.origin_community_id and t.valid)
        returning d.event_id
    )
    select coalesce(array_agg(i.id), '{}') into ids
      from unnest(ids) as i (id)
     where i.id not in (select p.event_id from parked p);
    return ids;
end
$$;
comment on function candhook.park(text, uuid[]) is
    'puts by which of these deliveries, locked by the caller, of a handler that needs a token have none: held, without an '
    'attempt; returns the events of the others';
