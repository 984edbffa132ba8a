create or replace function candhook_internal.web_tokens()
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- Which communities have a bot token, never the token, how many deliveries are held for each, and which lack one.
with waiting as materialized (
    select d.origin_community_id as community, count(*) as waiting
      from (select h.origin_community_id from candhook.delivery h where h.held limit 100000) d
     group by d.origin_community_id
), token as materialized (
    select t.* from candhook_internal.token_list() t
)
select jsonb_build_object(
           'at', clock_timestamp(),
           'tokens', coalesce((select jsonb_agg(to_jsonb(t) || jsonb_build_object('scopes', string_to_array(t.scopes, ' '),
                                                                                  'waiting', coalesce(w.waiting, 0))
                                                order by t.community)
                                 from token t
                                 left join waiting w on w.community = t.community), '[]'),
           'missing', coalesce((select jsonb_agg(to_jsonb(w) order by w.waiting desc, w.community)
                                  from waiting w
                                 where not exists (select from token t where t.community = w.community)), '[]'))
$$;
comment on function candhook_internal.web_tokens() is
    'which communities have a bot token, and which lack one, for the console; no token';
