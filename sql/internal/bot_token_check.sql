create or replace function candhook_internal.bot_token_check()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Before a bot token is stored, by whatever statement: a new token is valid until it is refused, revoked or expires, and
-- what was known of the one before does not hold for it. A token of a child community goes to its origin. Values that the
-- constraints would refuse are refused here, since the server's message about a violated constraint shows the row.
-- Definer's rights, to read community_alias.
begin
    if new.token is null or new.token = '' or new.token ~ '[[:space:][:cntrl:]]' then
        raise exception 'that is no bot token: it is empty, or holds blanks or control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if new.origin_community_id is null or octet_length(new.origin_community_id) not between 1 and 255
       or new.origin_community_id ~ '[[:cntrl:]]' then
        raise exception 'that is no community id: it is empty, longer than 255 bytes, or holds control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from unnest(new.scopes) s where s is null or s !~ '^[!#-[\]-~]+$') then
        raise exception 'a scope is one or more printable ASCII characters without blanks, quotes and backslashes'
            using errcode = 'invalid_parameter_value';
    end if;
    if new.how not in ('psql', 'command', 'install', 'console') or new.ended not in ('refused', 'revoked', 'expired') then
        raise exception 'how is psql, command, install or console; ended is refused, revoked or expired'
            using errcode = 'invalid_parameter_value';
    end if;

    if tg_op = 'INSERT' or new.origin_community_id <> old.origin_community_id then
        new.origin_community_id := candhook_internal.token_community(new.origin_community_id);
    end if;
    if tg_op = 'INSERT' then
        new.how := coalesce(new.how, 'psql');
    elsif new.token <> old.token or new.stored_at <> old.stored_at then
        if new.token <> old.token then
            new.valid := new.valid or not old.valid;
            new.stored_at := now();
        end if;
        -- What the statement leaves as it was is of the token before.
        new.scopes := case when new.scopes is distinct from old.scopes then new.scopes end;
        new.expires_at := case when new.expires_at is distinct from old.expires_at then new.expires_at end;
        new.how := case when new.how is distinct from old.how then coalesce(new.how, 'psql') else 'psql' end;
    end if;
    new.scopes := case when new.scopes is not null
                       then array(select distinct s collate "C" from unnest(new.scopes) s order by 1) end;
    if new.valid and new.expires_at <= clock_timestamp() then
        new.valid := false;
        new.ended := 'expired';
    else
        new.ended := case when not new.valid then coalesce(new.ended, 'revoked') end;
    end if;
    return new;
end
$$;
comment on function candhook_internal.bot_token_check() is 'trigger: refuses what is no token without showing it; a new one is valid again';
