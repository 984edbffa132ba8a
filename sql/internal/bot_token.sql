create or replace function candhook_internal.bot_token(origin_community_id text)
returns table (token text, stored_at text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- The valid bot token of an origin community, or no row. stored_at names the token for refuse_bot_token: a text with
-- microseconds that does not depend on the session's settings.
select t.token, to_char(t.stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  from candhook.bot_token t
 where t.origin_community_id = candhook_internal.token_community($1) and t.valid
$$;
comment on function candhook_internal.bot_token(text) is
    'the valid bot token of an origin community, and when it was stored; no row when there is none';
