create or replace function candhook_internal.bot_token_entered()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- For the view bot_token_entry: an insert stores the token. Values that the table would refuse are refused here, since the
-- server's message about a violated constraint shows the row.
begin
    if new.token is null or new.token = '' or new.token ~ '[[:space:][:cntrl:]]' then
        raise exception 'that is no bot token: it is empty, or holds blanks or control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if new.origin_community_id is null or octet_length(new.origin_community_id) not between 1 and 255 then
        raise exception 'that is no community id: it is empty or longer than 255 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    perform candhook.set_bot_token(new.origin_community_id, new.token);
    return new;
end
$$;
comment on function candhook_internal.bot_token_entered() is 'trigger of the view bot_token_entry: stores the token';
