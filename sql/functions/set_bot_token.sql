create or replace function candhook.set_bot_token(origin_community_id text, token text, scopes text[] default null,
                                                  expires_at timestamptz default null)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
-- Stores the bot token of an origin community and replaces the one before. The trigger bot_token_stored releases the
-- deliveries that were held for it. Null: unknown.
select candhook_internal.store_bot_token($1, $2, $3, $4, 'psql')
$$;
comment on function candhook.set_bot_token(text, text, text[], timestamptz) is
    'Stores the bot token of an origin community; deliveries that were held for it go on at once. '
    'Type: select candhook.set_bot_token(''COMMUNITY'', ''TOKEN'');';
