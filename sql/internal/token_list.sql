create or replace function candhook_internal.token_list()
returns table (community text, state text, how text, stored_at text, expires_at text, scopes text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- What `candhook token list` shows: every community with a token, and never the token. state is valid, or how it ended;
-- scopes are separated by blanks; times are RFC 3339 in UTC; null: unknown.
select t.origin_community_id, coalesce(t.ended, 'valid'), t.how, candhook_internal.utc(t.stored_at),
       candhook_internal.utc(t.expires_at), array_to_string(t.scopes, ' ')
  from candhook.bot_token t
 order by t.origin_community_id
$$;
comment on function candhook_internal.token_list() is 'what candhook token list shows, a row for each community with a bot token';
