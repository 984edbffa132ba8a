create or replace function candhook.set_bot_token(origin_community_id text, token text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
-- Stores the bot token of an origin community and replaces the one before. The trigger bot_token_stored releases the
-- deliveries that were held for it.
insert into candhook.bot_token as t (origin_community_id, token)
values ($1, $2)
on conflict on constraint bot_token_pkey do update
   set token = excluded.token, valid = true, stored_at = now()
$$;
comment on function candhook.set_bot_token(text, text) is
    'Stores the bot token of an origin community; deliveries that were held for it go on at once. '
    'Type: select candhook.set_bot_token(''COMMUNITY'', ''TOKEN'');';
