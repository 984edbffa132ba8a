create or replace function candhook.bot_token_stored()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- After a valid bot token was stored: what it was held for is due at once. Deferred to the commit, so that the lock
-- is held for the moment of the commit only and not while somebody thinks in an open transaction. The comment in park
-- tells why together they miss nothing; the lock must be taken before the update looks, hence in a statement of its
-- own.
begin
    if new.valid then
        perform pg_advisory_xact_lock(hashtext('candhook.bot_token'));
        update candhook.delivery d set held = false, due_at = now()
         where d.held and d.origin_community_id = new.origin_community_id;
        perform pg_notify('candhook', '');
    end if;
    return null;
end
$$;
comment on function candhook.bot_token_stored() is 'trigger: releases the deliveries that were held for a token';
