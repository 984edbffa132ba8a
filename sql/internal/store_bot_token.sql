create or replace function candhook_internal.store_bot_token(origin_community_id text, token text, scopes text[],
                                                            expires_at timestamptz, how text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Stores the bot token of a community and replaces the one before. Two steps: when a token changes, the trigger
-- bot_token_check forgets what was known of the one before, and cannot tell what is said again from what was not said.
-- community is the one that the trigger chose, by community_alias.
declare
    community text;
begin
    insert into candhook.bot_token as t (origin_community_id, token)
    values ($1, $2)
    on conflict on constraint bot_token_pkey do update
       set token = excluded.token, valid = true, stored_at = now()
    returning t.origin_community_id into community;

    update candhook.bot_token t
       set scopes = $3, expires_at = $4, how = $5
     where t.origin_community_id = community
       and (t.scopes is not null or t.expires_at is not null or $3 is not null or $4 is not null or t.how <> $5);
end
$$;
comment on function candhook_internal.store_bot_token(text, text, text[], timestamptz, text) is
    'stores the bot token of a community with what is known of it; a part of candhook.set_bot_token';
