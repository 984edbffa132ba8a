create or replace function candhook.alias_community(child text, origin text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
-- From now on tokens that are stored for `child` are kept under `origin`, and one that is there moves, which releases what
-- was held for it. It moves only if it is valid, and origin has no valid one that was stored later. origin null takes the
-- alias away; tokens stay where they are. There are no aliases of aliases.
--
-- The lock waits for transactions that store a token and makes later ones wait: none can miss the alias.
declare
    given candhook.bot_token;
begin
    lock table candhook.bot_token in share row exclusive mode;
    if origin is null then
        delete from candhook.community_alias a where a.child = alias_community.child;
        return;
    end if;
    if child is null or child = origin or octet_length(child) not between 1 and 255 or octet_length(origin) not between 1 and 255
       or child || origin ~ '[[:cntrl:]]' then
        raise exception 'an alias is made of the ids of two communities' using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from candhook.community_alias a where a.child = alias_community.origin) then
        raise exception 'the tokens of "%" are kept under "%" themselves', origin, candhook_internal.token_community(origin)
            using errcode = 'invalid_parameter_value', hint = 'Name that one as the origin.';
    end if;
    if exists (select from candhook.community_alias a where a.origin = alias_community.child) then
        raise exception 'tokens of other communities are kept under "%"', child
            using errcode = 'invalid_parameter_value', hint = 'select * from candhook.community_alias';
    end if;

    insert into candhook.community_alias as a (child, origin)
    values (child, origin)
    on conflict on constraint community_alias_pkey do update
       set origin = excluded.origin, made_at = excluded.made_at, made_by = excluded.made_by;
    delete from candhook.bot_token t where t.origin_community_id = child returning t.* into given;
    if given.valid and not exists (select from candhook.bot_token t
                                    where t.origin_community_id = origin and t.valid and t.stored_at > given.stored_at) then
        perform candhook_internal.store_bot_token(origin, given.token, given.scopes, given.expires_at, given.how);
    end if;
end
$$;
comment on function candhook.alias_community(text, text) is
    'Keeps bot tokens that are stored for a child community under its origin community; one that is there moves. With null '
    'as origin: no more. Type: select candhook.alias_community(''CHILD'', ''ORIGIN'');';
