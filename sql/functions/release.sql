create or replace function candhook.release(worker text)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
-- A worker is known to have ended, or with a slash at the end, all whose names begin so: what they held is due at once.
-- The leases stay in the rows, so that claim can tell that their attempts were lost. What its server process still has
-- locked is left alone: that may yet commit. Returns how many.
declare
    released integer;
begin
    with orphaned as materialized (
        select d.received_at, d.event_id, d.handler
          from candhook.delivery d
         where d.lease is not null and d.due_at > clock_timestamp()
           and (d.worker = release.worker or (release.worker like '%/' and starts_with(d.worker, release.worker)))
           for update skip locked
    )
    update candhook.delivery d
       set due_at = clock_timestamp()
      from orphaned o
     where d.received_at = o.received_at and d.event_id = o.event_id and d.handler = o.handler;
    get diagnostics released = row_count;
    if released > 0 then
        perform pg_notify('candhook', '');
    end if;
    return released;
end
$$;
comment on function candhook.release(text) is
    'a worker has ended, or with a slash at the end, all whose names begin so: what they leased is due at once; returns how '
    'many deliveries';
