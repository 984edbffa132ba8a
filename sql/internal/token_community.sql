-- The community under which a token of this community is kept: the origin of an alias, else itself.
create or replace function candhook_internal.token_community(community text)
returns text
language sql stable
return coalesce((select a.origin from candhook.community_alias a where a.child = $1), $1);
comment on function candhook_internal.token_community(text) is
    'the community under which a bot token of this community is kept';
