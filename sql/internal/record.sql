create or replace function candhook_internal.record(segments uuid[], positions bigint[],
                                                    ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                    user_ids text[], community_ids text[], profile_ids text[],
                                                    payloads text[], extras text[],
                                                    malformed uuid[], bodies bytea[], reasons text[],
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
-- Records a batch of received bodies and the spool positions behind it, in the caller's transaction. Idempotent by id.
--
--      segments, positions             segments of the spool, and the offsets behind the records of this batch
--      ids ... extras                  events: the columns of the table event, payload and extra as JSON
--      malformed, bodies, reasons      bodies that are no events: their ids, bytes, and what is wrong with them
--      notify                          false: the caller wakes its own runners, so no NOTIFY is needed
--
-- Returns rows for the log:
--
--      'malformed', id, null, null, reason, 1                              a body that was recorded as malformed
--      'unhandled', id of one, module, type, context of one, number        events that no handler matches
--
-- When the database refuses events of the batch (jsonb's limits; a constraint, index or trigger that a person added), which
-- is rare, nothing is recorded. It returns only
--
--      'refused', id, null, null, reason, 1                                for each of them
--
-- and the caller calls again with these as malformed.
declare
    line record;
    careful boolean; -- some events may be recorded already
begin
    if cardinality(ids) <> any (array[cardinality(modules), cardinality(types), cardinality(origin_community_ids),
                                      cardinality(user_ids), cardinality(community_ids), cardinality(profile_ids),
                                      cardinality(payloads), cardinality(extras)])
       or cardinality(malformed) <> any (array[cardinality(bodies), cardinality(reasons)])
       or cardinality(segments) <> cardinality(positions) then
        raise exception 'candhook_internal.record: the arrays do not fit together' using errcode = 'invalid_parameter_value';
    end if;

    -- The segment is unlinked after this commit, so the commit must be durable.
    if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    -- Mostly all events are new and are just inserted. Only when that fails, or when malformed bodies of the same time
    -- are there, each id is looked up first. The spool holds an id once; a batch comes again after a crash only.
    careful := exists (select from candhook.malformed m
                        where m.received_at
                      between (select candhook.received_at(g.id) from unnest(ids) as g (id) order by g.id limit 1)
                          and (select candhook.received_at(g.id) from unnest(ids) as g (id) order by g.id desc limit 1));
    loop
        if careful then
            select array_agg(g.id), array_agg(g.module), array_agg(g.type), array_agg(g.origin_community_id),
                   array_agg(g.user_id), array_agg(g.community_id), array_agg(g.profile_id), array_agg(g.payload),
                   array_agg(g.extra)
              into ids, modules, types, origin_community_ids, user_ids, community_ids, profile_ids, payloads, extras
              from (select distinct on (g.id) g.*
                      from unnest(ids, modules, types, origin_community_ids, user_ids, community_ids, profile_ids, payloads,
                                  extras)
                           as g (id, module, type, origin_community_id, user_id, community_id, profile_id, payload, extra)
                     order by g.id) g
             where (select true from candhook.event e where e.received_at = candhook.received_at(g.id) and e.id = g.id) is null
               and (select true from candhook.malformed m
                     where m.received_at = candhook.received_at(g.id) and m.id = g.id) is null;
        end if;
        begin
            for line in
                select * from candhook_internal.record_batch(ids, modules, types, origin_community_ids, user_ids, community_ids,
                                                             profile_ids, payloads, extras, malformed, bodies, reasons)
            loop
                if line.kind <> 'delivered' then
                    kind := line.kind; id := line.id; module := line.module; type := line.type;
                    detail := line.detail; events := line.events;
                    if line.kind = 'unhandled' then
                        select left((candhook.body(e) -> 'context')::text, 2000) into detail
                          from candhook.event e
                         where e.received_at = candhook.received_at(line.id) and e.id = line.id;
                    end if;
                    return next;
                elsif line.events > 0 and notify then
                    perform pg_notify('candhook', '');
                end if;
            end loop;
            exit;
        exception
            when others then
                if sqlstate = '23505' and not careful then
                    careful := true;
                elsif candhook_internal.may_pass(sqlstate) then
                    raise;
                else
                    return query
                    select 'refused', r.id, null::text, null::text, r.reason, 1::bigint
                      from candhook_internal.refused_events(ids, modules, types, origin_community_ids, user_ids, community_ids,
                                                            profile_ids, payloads, extras) r;
                    if not found then
                        raise;
                    end if;
                    return;
                end if;
        end;
    end loop;

    insert into candhook_internal.spool_position as p (segment, position, touched_at)
    select s.segment, max(s.position), now()
      from unnest(segments, positions) as s (segment, position)
     group by s.segment
     order by s.segment
    on conflict (segment) do update
       set position = greatest(p.position, excluded.position), touched_at = excluded.touched_at;
end
$$;
comment on function candhook_internal.record(uuid[], bigint[], uuid[], text[], text[], text[], text[], text[], text[], text[],
                                             text[], uuid[], bytea[], text[], boolean) is
    'records events and malformed bodies, makes the deliveries, and stores the positions of the spool; idempotent by '
    'id; returns rows for the log, or, having recorded nothing, the events that cannot be stored';
