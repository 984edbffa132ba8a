create or replace function candhook_internal.bot_token_entered()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- For the view bot_token_entry: an insert stores the token.
begin
    perform candhook.set_bot_token(new.origin_community_id, new.token);
    return new;
end
$$;
comment on function candhook_internal.bot_token_entered() is 'trigger of the view bot_token_entry: stores the token';
