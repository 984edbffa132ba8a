create or replace function candhook.set_bot_token(origin_community_id text, token text)
returns void
language sql
as $$
-- Stores the bot token of an origin community, in place of the one before. Deliveries that it held go on at once.
insert into candhook.bot_token as t (origin_community_id, token)
values ($1, $2)
on conflict on constraint bot_token_pkey do update
   set token = excluded.token, valid = true, stored_at = now()
$$;
comment on function candhook.set_bot_token(text, text) is
    'stores the bot token of an origin community; takes effect at once';
