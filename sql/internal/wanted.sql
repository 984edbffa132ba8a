create or replace function candhook_internal.wanted()
returns table (module text, type text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- What the App must subscribe to: the patterns of the enabled handlers, each once.
select distinct h.module, h.type
  from candhook.handler h
 where h.enabled
 order by h.module, h.type
$$;
comment on function candhook_internal.wanted() is 'the patterns of module and type of the enabled handlers, each once';
