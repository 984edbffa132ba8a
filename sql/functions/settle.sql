create or replace function candhook.settle(rows tid[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
set enable_bitmapscan = off
as $$
-- Deletes deliveries that the caller has locked, named by where they lie (ctid): nothing else moves them meanwhile.
--
-- By where they lie, since this leaves the planner no choice (all other ways are switched off). Found by a join, they
-- are found by their key only while the planner believes that there are more of them than are wanted; right after
-- the queue was empty it does not, and the plan that compares all with all would be kept while it grows.
begin
    delete from candhook.delivery d where d.ctid = any (rows);
end
$$;
comment on function candhook.settle(tid[]) is
    'deletes deliveries that the caller has locked, by where they lie; a part of candhook.finish and candhook.claim';
