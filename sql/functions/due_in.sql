create or replace function candhook.due_in()
returns double precision
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
as $$
-- Seconds until claim has something for an enabled handler: 0 when it has now, null when nothing waits. What is due
-- but locked (a run_sql that takes longer than its lease) is no work for anybody else: then it says 1, so that nobody
-- spins.
declare
    right_now constant timestamptz := clock_timestamp();
    first_due timestamptz;
begin
    select min(oldest.due_at) into first_due
      from candhook.handler h
     cross join lateral (select d.due_at from candhook.delivery d where d.handler = h.name order by d.due_at limit 1) oldest
     where h.enabled;
    if first_due is null or first_due > right_now then
        return extract(epoch from first_due - right_now);
    end if;

    perform from candhook.handler h
     cross join lateral (select from candhook.delivery d
                          where d.handler = h.name and d.due_at <= right_now
                          order by d.due_at limit 1
                            for update skip locked) free
     where h.enabled
     limit 1;
    return case when found then 0 else 1 end;
end
$$;
comment on function candhook.due_in() is
    'seconds until something is due for an enabled handler; 0: now; null: nothing waits';
