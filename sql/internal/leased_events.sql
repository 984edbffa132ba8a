create or replace function candhook_internal.leased_events(ids uuid[], tokens text[])
returns table (event candhook.event, bot_token text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
-- A row for each of these ids, in their order: its event, null when it was dropped, and its token. A lateral join goes
-- row by row, so it keeps the order.
begin
    return query
    select e.event, r.token
      from (select g.id, candhook.received_at(g.id) as received_at, g.token
              from (select unnest(ids) as id, unnest(tokens) as token) g
            offset 0) r -- computes received_at once a row
      left join lateral (
           select e as event
             from candhook.event e
            where e.received_at = r.received_at and e.id = r.id
            limit 1) e on true;
end
$$;
comment on function candhook_internal.leased_events(uuid[], text[]) is
    'the events of these ids in their order, each with its token, for the handler; a part of candhook_internal.run_sql';
