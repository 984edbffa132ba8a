create or replace function candhook_internal.lease_rows(rows tid[], number bigint, worker text, until timestamptz)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
set enable_bitmapscan = off
as $$
-- Leases deliveries that the caller has locked, given by ctid (settle tells why), and counts the attempt. One that is
-- leased still was lost: its last attempt counts as a failure.
begin
    update candhook.delivery d
       set lease = number, worker = lease_rows.worker, attempt = d.attempt + 1,
           failures = d.failures + (d.lease is not null)::integer, held = false, due_at = until
     where d.ctid = any (rows);
end
$$;
comment on function candhook_internal.lease_rows(tid[], bigint, text, timestamptz) is
    'leases deliveries that the caller has locked, by ctid, and counts the attempt; a part of candhook_internal.claim';
