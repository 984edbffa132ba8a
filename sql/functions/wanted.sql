create or replace function candhook.wanted()
returns table (module text, type text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- What the App must be subscribed to for its handlers: the patterns of those that are enabled, each once.
select distinct h.module, h.type
  from candhook.handler h
 where h.enabled
 order by h.module, h.type
$$;
comment on function candhook.wanted() is 'the patterns of module and type of the enabled handlers, each once';
