create or replace function candhook.put_off(rows tid[], attempts integer[], forgiven integer[], held boolean[],
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
-- Puts off deliveries that the caller has locked, named by where they lie (settle tells why): until when, whether they are
-- held, and how many attempts are counted and how many of them forgiven. Nobody has them leased then.
begin
    update candhook.delivery d
       set lease = null, worker = null, attempt = r.attempt, forgiven = r.forgiven, held = r.held, due_at = r.due_at
      from unnest(rows, attempts, put_off.forgiven, put_off.held, put_off.due_at)
           as r (place, attempt, forgiven, held, due_at)
     where d.ctid = r.place;
end
$$;
comment on function candhook.put_off(tid[], integer[], integer[], boolean[], timestamptz[]) is
    'puts off deliveries that the caller has locked, by where they lie; a part of candhook.finish and candhook.claim';
