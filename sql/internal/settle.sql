create or replace function candhook_internal.settle(rows tid[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
set enable_bitmapscan = off
as $$
-- Deletes deliveries that the caller has locked, given by ctid. The lock keeps their ctid valid.
--
-- By ctid, since it leaves the planner one plan only (all others are switched off). A join by key uses the key's index
-- only while the planner believes that the table holds more rows than are wanted. Right after the queue was empty it
-- does not, and the plan that compares every row with every other would be kept while the queue grows.
begin
    delete from candhook.delivery d where d.ctid = any (rows);
end
$$;
comment on function candhook_internal.settle(tid[]) is
    'deletes deliveries that the caller has locked, by ctid; a part of candhook_internal.finish and claim';
