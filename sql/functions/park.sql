create or replace function candhook.park(lease bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
-- Gives back what a lease holds without the bot token that its handler needs: no attempt, no outcome, not counted. It
-- is looked at again after half the event's age, within 30 seconds to an hour; storing the token releases it at once
-- (trigger bot_token_stored). Returns how many.
--
-- Why no token is missed: the caller has locked the deliveries before this looks for tokens with a newer snapshot,
-- and the trigger holds an exclusive advisory lock from before it looks for held deliveries until its transaction has
-- ended.
--   - The token is visible: nothing is parked.
--   - It is not, and the shared lock is free: the trigger has not begun. It will wait for this transaction, and then
--     find what was parked.
--   - It is not, and the lock is taken: a token, of whatever community, is being committed right now. Look again in a second.
declare
    settled boolean;
    parked integer;
begin
    if not exists (select from candhook.delivery d
                    where d.lease = park.lease
                      and not exists (select from candhook.bot_token t
                                       where t.origin_community_id = d.origin_community_id and t.valid)) then
        return 0;
    end if;

    settled := pg_try_advisory_xact_lock_shared(hashtext('candhook.bot_token'));
    update candhook.delivery d
       set lease = null, worker = null, attempt = d.attempt - 1, held = true,
           due_at = clock_timestamp()
                    + case when settled
                           then least(interval '1 hour',
                                      greatest(interval '30 seconds', (clock_timestamp() - d.received_at) / 2))
                           else interval '1 second' end
     where d.lease = park.lease
       and not exists (select from candhook.bot_token t
                        where t.origin_community_id = d.origin_community_id and t.valid);
    get diagnostics parked = row_count;
    return parked;
end
$$;
comment on function candhook.park(bigint) is
    'gives back what a lease holds of a handler that needs a token where there is none: held, without an attempt; '
    'returns how many';
