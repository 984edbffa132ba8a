create or replace function candhook_internal.release(worker text)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
-- Ends the leases of a worker that is known to have ended, or of all workers whose names begin with `worker` if that
-- ends with a slash: their deliveries are due at once. The lease stays in the row, so that claim sees that the attempt
-- was lost. A delivery that a server process still has locked is left alone, since that transaction may commit. Returns
-- the number of deliveries.
declare
    released integer;
begin
    with lost as materialized (
        select d.received_at, d.event_id, d.handler
          from candhook.delivery d
         where d.lease is not null and d.due_at > clock_timestamp()
           and (d.worker = release.worker or (release.worker like '%/' and starts_with(d.worker, release.worker)))
           for update skip locked
    )
    update candhook.delivery d
       set due_at = clock_timestamp()
      from lost l
     where d.received_at = l.received_at and d.event_id = l.event_id and d.handler = l.handler;
    get diagnostics released = row_count;
    if released > 0 then
        perform pg_notify('candhook', '');
    end if;
    return released;
end
$$;
comment on function candhook_internal.release(text) is
    'ends the leases of a worker that has ended, or of all whose names begin with what ends with a slash; returns how '
    'many deliveries are due at once';
