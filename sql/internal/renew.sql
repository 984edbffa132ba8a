create or replace function candhook_internal.renew(lease bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Makes the lease end 15 seconds from now. Returns how many deliveries it still holds: fewer than expected means that
-- some are lost to another claim.
declare
    holds integer;
begin
    update candhook.delivery d set due_at = clock_timestamp() + interval '15 seconds' where d.lease = renew.lease;
    get diagnostics holds = row_count;
    return holds;
end
$$;
comment on function candhook_internal.renew(bigint) is
    'makes a lease last 15 seconds from now; returns how many deliveries it still holds';
