create or replace function candhook_internal.held_count(origin_community_id text)
returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- For the page of an installation: those that storing the token lets go on.
select count(*) from candhook.delivery d where d.held and d.origin_community_id = $1
$$;
comment on function candhook_internal.held_count(text) is 'how many deliveries wait for the bot token of a community';
