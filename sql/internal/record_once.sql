create or replace function candhook_internal.record_once(segments uuid[], positions bigint[],
                                                         ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                         user_ids text[], community_ids text[], profile_ids text[],
                                                         payloads text[], extras text[],
                                                         malformed uuid[], bodies bytea[], reasons text[], not_at_once text[])
returns table (kind text, id uuid, module text, type text, detail text, events bigint, handler text,
               target text, to_run candhook.event[], tokens text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- record_rows, once for each id, and the spool positions. When the database refuses events of the batch, nothing is recorded,
-- and rows 'refused' are returned.
declare
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
            return query
            select * from candhook_internal.record_rows(ids, modules, types, origin_community_ids, user_ids, community_ids,
                                                        profile_ids, payloads, extras, malformed, bodies, reasons, not_at_once);
            exit;
        exception
            when others then
                if sqlstate = '23505' and not careful then
                    careful := true;
                elsif candhook_internal.may_pass(sqlstate) then
                    raise;
                else
                    return query
                    select 'refused', r.id, null, null, r.reason, 1::bigint, null, null, null::candhook.event[], null::text[]
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
comment on function candhook_internal.record_once(uuid[], bigint[], uuid[], text[], text[], text[], text[], text[], text[],
                                                  text[], text[], uuid[], bytea[], text[], text[]) is
    'makes the rows of a batch unless they are there, and stores the positions of the spool; a part of '
    'candhook_internal.record';
