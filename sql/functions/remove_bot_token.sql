create or replace function candhook.remove_bot_token(community text)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- The row goes, with the token; bot_token_history stays. Returns whether there was one, valid or not.
with removed as (
    delete from candhook.bot_token t
     where t.origin_community_id = candhook_internal.token_community($1)
    returning 1
)
select exists (select from removed)
$$;
comment on function candhook.remove_bot_token(text) is
    'Removes the bot token of a community, valid or not; bot_token_history stays. Returns whether there was one. '
    'Type: select candhook.remove_bot_token(''COMMUNITY'');';
