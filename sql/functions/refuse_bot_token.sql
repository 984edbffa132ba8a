create or replace function candhook.refuse_bot_token(origin_community_id text, stored_at timestamptz)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- To be called when the API refused (401) the token that was stored at that time: it is not valid any more, so that what
-- needs one is held. A token that was stored since then has not been refused by anybody and stays. Returns whether one
-- was marked.
with refused as (
    update candhook.bot_token t
       set valid = false
     where t.origin_community_id = $1 and t.stored_at = $2 and t.valid
    returning 1
)
select exists (select from refused)
$$;
comment on function candhook.refuse_bot_token(text, timestamptz) is
    'marks a bot token as refused by the API, unless another one has been stored since; returns whether it did';
