create or replace function candhook_internal.bot_token_stored()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- After a valid bot token was stored: releases the deliveries that are held for it. Deferred to the commit, so that the
-- lock is held for the moment of the commit only, and not for as long as a person leaves a transaction open. The
-- comment in `hold` tells why no delivery is missed. The lock must be taken before the update takes its snapshot, hence
-- the statement of its own.
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
comment on function candhook_internal.bot_token_stored() is
    'trigger: releases the deliveries that were held for a token';
