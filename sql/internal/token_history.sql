create or replace function candhook_internal.token_history(community text default null)
returns table (community text, state text, how text, stored_at text, expires_at text, scopes text, stored_by text,
               ended_at text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- What `candhook token history` shows: the tokens of a community (null: of all) in the order of storing, in the form of
-- token_list.
select h.community, coalesce(h.ended, 'valid'), h.how, candhook_internal.utc(h.stored_at),
       candhook_internal.utc(h.expires_at), array_to_string(h.scopes, ' '), h.stored_by, candhook_internal.utc(h.ended_at)
  from candhook.bot_token_history h
 where $1 is null or h.community in ($1, candhook_internal.token_community($1))
 order by h.community, h.id
$$;
comment on function candhook_internal.token_history(text) is
    'what candhook token history shows, a row for each token that a community had';
