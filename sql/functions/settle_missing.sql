create or replace function candhook.settle_missing(ids uuid[], rows tid[])
returns uuid[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Of deliveries that the caller has locked, settles those whose event is not there any more: it was dropped, with its
-- month, and nothing is left to handle, nor to tell about. Returns their events, null for none.
declare
    missing uuid[];
    places tid[];
begin
    select array_agg(r.id), array_agg(r.place) into missing, places
      from unnest(ids, rows) as r (id, place)
     where (select true from candhook.event e where e.received_at = candhook.received_at(r.id) and e.id = r.id) is null
       and (select d.event_id from candhook.delivery d where d.ctid = r.place) = r.id;
    if missing is not null then
        perform candhook.settle(places);
    end if;
    return missing;
end
$$;
comment on function candhook.settle_missing(uuid[], tid[]) is
    'deletes deliveries, locked by the caller, whose event was dropped; returns the ids of these events; a part of '
    'candhook.claim and candhook.run_sql';
