create or replace function candhook_internal.lacking_scopes(needed text[])
returns table (communities text, missing text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- Valid bot tokens that were not granted all of these scopes, as far as it is known what they were granted: for each set of
-- missing scopes (separated by blanks) the communities. At most ten sets, those of the most communities.
select candhook_internal.named(array_agg(l.community order by l.community)), l.missing
  from (select t.origin_community_id as community,
               (select string_agg(n.scope, ' ' order by n.scope collate "C")
                  from (select distinct scope from unnest($1) scope) n
                 where n.scope <> all (t.scopes)) as missing
          from candhook.bot_token t
         where t.valid and t.scopes is not null and not t.scopes @> $1) l
 group by l.missing
 order by count(*) desc, l.missing
 limit 10
$$;
comment on function candhook_internal.lacking_scopes(text[]) is
    'communities whose bot token was not granted all of these scopes, by what is missing';
