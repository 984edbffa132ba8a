create or replace function candhook_internal.settle_missing(ids uuid[], rows tid[])
returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Deletes those of the deliveries that have no event any more, since its month was dropped: there is nothing left to
-- handle or to record. The caller has locked them; `rows` are their ctids. Returns the ids of the missing events, null
-- for none.
declare
    missing uuid[];
    missing_rows tid[];
begin
    select array_agg(r.id), array_agg(r.ctid_of) into missing, missing_rows
      from unnest(ids, rows) as r (id, ctid_of)
     where (select true from candhook.event e where e.received_at = candhook.received_at(r.id) and e.id = r.id) is null
       and (select d.event_id from candhook.delivery d where d.ctid = r.ctid_of) = r.id;
    if missing is not null then
        perform candhook_internal.settle(missing_rows);
    end if;
    return missing;
end
$$;
comment on function candhook_internal.settle_missing(uuid[], tid[]) is
    'deletes deliveries, locked by the caller, whose event was dropped; returns the ids of these events; a part of '
    'candhook_internal.claim and run_sql';
