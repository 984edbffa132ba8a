create or replace function candhook_internal.finish_first(handler text, given candhook.event[], results text[],
                                                          details text[], started_at timestamptz[], finished_at timestamptz[])
returns table (kind text, id uuid, detail text, events bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- Records what came of first attempts that record made at once: ok is an outcome; of what failed a leased delivery is made,
-- which finish makes due later, so all rules for retries are there; what was not tried (result null, or none) becomes a
-- delivery. Rows are those of record.
declare
    number bigint; -- of the lease
    fine bigint;
    made bigint;
begin
    perform from candhook.handler h where h.name = finish_first.handler;
    if not found then
        raise exception 'handler "%" removed or renamed itself', handler
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
    select (g.event).id, (g.event).received_at, finish_first.handler, 1, 'ok', g.detail, g.started_at, g.finished_at
      from (select unnest(given) as event, unnest(results) as result, unnest(details) as detail,
                   unnest(finish_first.started_at) as started_at, unnest(finish_first.finished_at) as finished_at) g
     where g.result = 'ok';
    get diagnostics fine = row_count;
    if fine > 0 then
        return query select 'ok', null::uuid, null, fine;
    end if;

    -- A handler may have replayed its event, before it had a delivery: the attempt that just ended is the first all the same.
    if current_setting('candhook.delivered_again', true) = 'yes' then
        update candhook.delivery d set attempt = 1
          from (select (g.event).id, (g.event).received_at
                  from (select unnest(given) as event, unnest(results) as result) g
                 where g.result = 'ok') done
         where d.received_at = done.received_at and d.event_id = done.id and d.handler = finish_first.handler and d.attempt = 0;
    end if;
    if fine = cardinality(given) then
        return;
    end if;

    number := candhook_internal.new_lease();
    insert into candhook.delivery (event_id, received_at, handler, origin_community_id, attempt, lease, worker, due_at)
    select (g.event).id, (g.event).received_at, finish_first.handler, (g.event).origin_community_id,
           (g.result is not null)::integer, case when g.result is not null then number end,
           case when g.result is not null then 'recorder' end, clock_timestamp()
      from (select unnest(given) as event, unnest(results) as result) g
     where g.result is distinct from 'ok'
    on conflict (received_at, event_id, handler) do update
       set attempt = excluded.attempt, lease = excluded.lease, worker = excluded.worker, due_at = excluded.due_at;
    get diagnostics made = row_count;
    return query select 'delivered', null::uuid, 'sql', made;

    return query
    select f.result, f.event_id, f.detail, 1::bigint
      from (select array_agg((g.event).id) as ids, array_agg(g.result) as results, array_agg(g.detail) as details,
                   array_agg(g.started_at) as started_at, array_agg(g.finished_at) as finished_at
              from (select unnest(given) as event, unnest(results) as result, unnest(details) as detail,
                           unnest(finish_first.started_at) as started_at, unnest(finish_first.finished_at) as finished_at) g
             where g.result = 'retry') a,
           candhook_internal.finish(number, a.ids, a.results, a.details, a.started_at, a.finished_at) f
     where a.ids is not null;
end
$$;
comment on function candhook_internal.finish_first(text, candhook.event[], text[], text[], timestamptz[], timestamptz[]) is
    'records the outcomes of first attempts, and makes deliveries of what failed or was not tried; a part of '
    'candhook_internal.record';
