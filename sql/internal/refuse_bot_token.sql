create or replace function candhook_internal.refuse_bot_token(origin_community_id text, stored_at timestamptz)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Called when the API refused (401) the token that was stored at `stored_at`: marks it as invalid, so that deliveries
-- that need it are held. A token that was stored since then stays valid. Returns whether a token was marked.
with refused as (
    update candhook.bot_token t
       set valid = false, ended = 'refused'
     where t.origin_community_id = candhook_internal.token_community($1) and t.stored_at = $2 and t.valid
    returning 1
)
select exists (select from refused)
$$;
comment on function candhook_internal.refuse_bot_token(text, timestamptz) is
    'marks a bot token as refused by the API, unless another one has been stored since; returns whether it did';
