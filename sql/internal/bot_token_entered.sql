create or replace function candhook_internal.bot_token_entered()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- For the view bot_token_entry: an insert stores the token. Definer's rights, so that who may insert there, and nothing else,
-- can store tokens and read none.
begin
    perform candhook_internal.store_bot_token(new.origin_community_id, new.token, new.scopes, new.expires_at,
                                              coalesce(new.how, 'command'));
    return new;
end
$$;
comment on function candhook_internal.bot_token_entered() is 'trigger of the view bot_token_entry: stores the token';
