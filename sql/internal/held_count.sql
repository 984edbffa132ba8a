create or replace function candhook_internal.held_count(origin_community_id text)
returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- For the page of an installation: the events of which storing the token lets deliveries go on.
select count(distinct (d.received_at, d.event_id))
  from candhook.delivery d
 where d.held and d.origin_community_id = candhook_internal.token_community($1)
$$;
comment on function candhook_internal.held_count(text) is 'how many events wait for a bot token that is stored for this community';
