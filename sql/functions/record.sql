create or replace function candhook.record(segments uuid[], positions bigint[],
                                           ids uuid[], bodies bytea[], reasons text[],
                                           notify boolean default true)
returns table (kind text, id uuid, module text, type text, detail text, events bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- Records a batch of bodies, and how far the spool is recorded with it, in the caller's transaction.
--
--      segments, positions     files of the spool, and the offset behind what this batch holds of them
--      ids, bodies, reasons    one body each; a reason says that it is malformed, null that it should be an event
--      notify                  false: who calls wakes its own workers, so the others need not be told
--
-- Idempotent by id. Returns what is worth a line of the log:
--
--      'malformed', id, null, null, reason, 1                              a body newly recorded as malformed
--      'unhandled', id of one, module, type, context of one, how many      events that no handler matches
--
-- The batch is one statement. Only when a body turns out to be no JSON, the culprits are found (fault) and the
-- statement runs again with these as malformed. Joins by hash are off, since the only joins with tables are probes of
-- their keys, which must not become slower when the tables grow.
declare
    line record;
begin
    if cardinality(ids) <> cardinality(bodies) or cardinality(ids) <> cardinality(reasons)
       or cardinality(segments) <> cardinality(positions) or array_position(bodies, null) is not null then
        raise exception 'candhook.record: the arrays do not fit together' using errcode = 'invalid_parameter_value';
    end if;

    -- The file in the spool goes when this is committed: durable means durable.
    if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    insert into candhook.spool_position as p (segment, position, touched_at)
    select s.segment, max(s.position), now()
      from unnest(segments, positions) as s (segment, position)
     group by s.segment
     order by s.segment
    on conflict (segment) do update
       set position = greatest(p.position, excluded.position), touched_at = excluded.touched_at;

    for attempt in 1 .. 2 loop
        begin
            for line in select * from candhook.record_batch(ids, bodies, reasons) loop
                if line.kind <> 'delivered' then
                    kind := line.kind; id := line.id; module := line.module; type := line.type;
                    detail := line.detail; events := line.events;
                    return next;
                elsif line.events > 0 and notify then
                    perform pg_notify('candhook', '');
                end if;
            end loop;
            return;
        exception
            when data_exception or program_limit_exceeded then
                if attempt = 2 then
                    raise;
                end if;
                reasons := array(select coalesce(b.reason, candhook.fault(b.body))
                                   from unnest(bodies, reasons) with ordinality as b (body, reason, place)
                                  order by b.place);
        end;
    end loop;
end
$$;
comment on function candhook.record(uuid[], bigint[], uuid[], bytea[], text[], boolean) is
    'records bodies as events or as malformed, makes their deliveries and stores the positions of the spool; '
    'idempotent by '
    'id; returns what is worth a line of the log';
