create or replace function candhook_internal.bot_token_check()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Before a bot token is stored, by whatever statement: a new token is valid until the API refuses it. Values that the
-- constraints would refuse are refused here, since the server's message about a violated constraint shows the row.
begin
    if new.token is null or new.token = '' or new.token ~ '[[:space:][:cntrl:]]' then
        raise exception 'that is no bot token: it is empty, or holds blanks or control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if new.origin_community_id is null or octet_length(new.origin_community_id) not between 1 and 255 then
        raise exception 'that is no community id: it is empty or longer than 255 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    if tg_op = 'UPDATE' and new.token <> old.token then
        new.valid := new.valid or not old.valid;
        new.stored_at := now();
    end if;
    return new;
end
$$;
comment on function candhook_internal.bot_token_check() is 'trigger: refuses what is no token without showing it; a new one is valid again';
