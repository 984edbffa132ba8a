create or replace function candhook_internal.web_handlers()
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- All handlers, with their settings and their health.
select jsonb_build_object(
           'at', clock_timestamp(),
           'handlers', coalesce(jsonb_agg(
               jsonb_build_object('name', h.name, 'module', h.module, 'type', h.type, 'kind', h.kind, 'target', h.target,
                                  'needs_token', h.needs_token, 'ordered_by', h.ordered_by, 'concurrency', h.concurrency,
                                  'timeout', h.timeout, 'max_attempts', h.max_attempts)
               || to_jsonb(health) - array['handler', 'oldest_unfinished_age']
               || jsonb_build_object('oldest_unfinished_s', floor(extract(epoch from health.oldest_unfinished_age)))
               order by h.name), '[]'))
  from candhook.handler h
  join candhook.handler_health health on health.handler = h.name
$$;
comment on function candhook_internal.web_handlers() is 'all handlers with their settings and their health, for the console';
