create or replace function candhook.revoke_bot_token(community text)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- The token is used no more: what needs one is held until another one is stored. Here only; the API is not told. Returns
-- whether there was a valid one.
with revoked as (
    update candhook.bot_token t
       set valid = false, ended = 'revoked'
     where t.origin_community_id = candhook_internal.token_community($1) and t.valid
    returning 1
)
select exists (select from revoked)
$$;
comment on function candhook.revoke_bot_token(text) is
    'Makes the bot token of a community invalid: deliveries that need it are held until another one is stored. Returns '
    'whether there was a valid one. Type: select candhook.revoke_bot_token(''COMMUNITY'');';
