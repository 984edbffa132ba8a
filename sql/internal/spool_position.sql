create or replace function candhook_internal.spool_position(segment uuid)
returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- How far a segment of the spool is recorded.
select coalesce((select p.position from candhook_internal.spool_position p where p.segment = $1), 0)
$$;
comment on function candhook_internal.spool_position(uuid) is
    'offset in bytes up to which a segment of the spool is recorded; 0 when it is unknown';
