create or replace function candhook_internal.web_event_line(event candhook.event)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- What the console shows of an event beside its results.
select jsonb_build_object(
           'id', ($1).id,
           'received_at', ($1).received_at,
           'module', ($1).module,
           'type', ($1).type,
           'origin_community', ($1).origin_community_id,
           'community', ($1).community_id,
           'user', ($1).user_id,
           'profile', ($1).profile_id,
           'object', left(($1).payload ->> 'id', 1000))
$$;
comment on function candhook_internal.web_event_line(candhook.event) is 'what the console shows of an event in a line';
