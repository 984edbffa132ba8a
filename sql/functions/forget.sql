create or replace function candhook.forget(segments uuid[])
returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Files of the spool are unlinked: their positions are of no more use.
delete from candhook.spool_position p where p.segment = any ($1)
$$;
comment on function candhook.forget(uuid[]) is 'files of the spool were unlinked: drops their positions';
