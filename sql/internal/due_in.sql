create or replace function candhook_internal.due_in(kinds text[] default '{sql,c,exec,http}', busy text[] default '{}')
returns double precision
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
-- Seconds until claim finds a delivery of an enabled handler of these kinds that is not busy: 0 for now, null when
-- nothing waits. When all that is due is locked (by a run_sql that takes longer than its lease) or of handlers without
-- a free slot, no other process can run it: the result is 1 then, so that nobody polls without pause.
declare
    right_now constant timestamptz := clock_timestamp();
    first_due timestamptz;
begin
    select min(oldest.due_at) into first_due
      from candhook.handler h
     cross join lateral (
           (select d.due_at from candhook.delivery d
             where h.ordered_by = 'none' and d.handler = h.name
             order by d.due_at limit 1)
           union all
           (select min(d.due_at) from candhook_internal.heads(h.name) d where h.ordered_by <> 'none')) oldest
     where h.enabled and h.kind = any (kinds) and h.name <> all (busy);
    if first_due is null or first_due > right_now then
        return extract(epoch from first_due - right_now);
    end if;

    perform from candhook.handler h
     cross join lateral (
           select from (select from candhook.delivery d
                         where h.ordered_by = 'none' and d.handler = h.name and d.due_at <= right_now
                         order by d.due_at limit 1
                           for update skip locked) unordered
           union all
           select from (select from candhook_internal.heads(h.name) o
                          join candhook.delivery d
                            on d.received_at = o.received_at and d.event_id = o.event_id and d.handler = h.name
                         where h.ordered_by <> 'none' and o.due_at <= right_now
                         limit 1
                           for update of d skip locked) ordered) free
     where h.enabled and h.kind = any (kinds) and h.name <> all (busy)
       and (h.kind <> 'sql' or candhook_internal.take_slot(h.name, coalesce(h.concurrency, 1)))
     limit 1;
    return case when found then 0 else 1 end;
end
$$;
comment on function candhook_internal.due_in(text[], text[]) is
    'seconds until something is due for an enabled handler of these kinds; 0: now; null: nothing waits';
