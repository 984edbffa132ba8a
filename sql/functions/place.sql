create or replace function candhook.place(lease bigint)
returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Takes a place (slot) of the handler whose deliveries this lease holds; a lease that holds nothing needs none.
select coalesce((select candhook.slot(h.name, h.concurrency)
                   from candhook.handler h
                  where h.name = (select d.handler from candhook.delivery d where d.lease = $1 limit 1)), true)
$$;
comment on function candhook.place(bigint) is
    'takes a place of the handler of a lease until the transaction ends; false when all are taken';
