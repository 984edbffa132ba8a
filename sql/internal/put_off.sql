create or replace function candhook_internal.put_off(rows tid[], attempts integer[], failures integer[], held boolean[],
                                                     due_at timestamptz[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
-- Ends the lease of deliveries that the caller has locked, given by ctid (settle tells why), and stores the number of
-- their last attempt, their failures, whether they are held, and when they are due again.
begin
    update candhook.delivery d
       set lease = null, worker = null, attempt = r.attempt, failures = r.failures, held = r.held, due_at = r.due_at
      from unnest(rows, attempts, put_off.failures, put_off.held, put_off.due_at)
           as r (ctid_of, attempt, failures, held, due_at)
     where d.ctid = r.ctid_of;
end
$$;
comment on function candhook_internal.put_off(tid[], integer[], integer[], boolean[], timestamptz[]) is
    'makes deliveries that the caller has locked due later, by ctid; a part of candhook_internal.finish and claim';
