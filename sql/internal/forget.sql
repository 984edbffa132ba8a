create or replace function candhook_internal.forget(segments uuid[])
returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Deletes the positions of segments that are unlinked.
delete from candhook_internal.spool_position p where p.segment = any ($1)
$$;
comment on function candhook_internal.forget(uuid[]) is 'deletes the positions of segments that are unlinked';
