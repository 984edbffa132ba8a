create or replace function candhook_internal.bot_token_check()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Before a bot token is replaced: a new token is valid until the API refuses it, whatever statement stores it.
begin
    if new.token <> old.token then
        new.valid := new.valid or not old.valid;
        new.stored_at := now();
    end if;
    return new;
end
$$;
comment on function candhook_internal.bot_token_check() is 'trigger: a new token is valid again, and stored now';
