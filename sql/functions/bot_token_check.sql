create or replace function candhook.bot_token_check()
returns trigger
language plpgsql
as $$
-- Before a bot token is replaced: another token is valid until it is refused, whoever stores it and however.
begin
    if new.token <> old.token then
        new.valid := new.valid or not old.valid;
        new.stored_at := now();
    end if;
    return new;
end
$$;
comment on function candhook.bot_token_check() is 'trigger: another token is valid again, and stored now';
