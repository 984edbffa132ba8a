create or replace function candhook_internal.take_lease_slot(lease bigint)
returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Takes a slot of the handler whose deliveries this lease holds. A lease that holds nothing needs none.
select coalesce((select candhook_internal.take_slot(h.name, coalesce(h.concurrency, 1))
                   from candhook.handler h
                  where h.name = (select d.handler from candhook.delivery d where d.lease = $1 limit 1)), true)
$$;
comment on function candhook_internal.take_lease_slot(bigint) is
    'takes a slot of the handler of a lease until the transaction ends; false when all are taken';
