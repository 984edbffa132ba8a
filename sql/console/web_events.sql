create or replace function candhook_internal.web_events(asked jsonb, patience interval default '2 seconds')
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- A page of events, newest first. Only the key has an index, so the other filters look at events one by one, from `before`
-- (the id that the page before ended with) or `until` back, in slices: until a page is full, `since` is reached, or the
-- patience is over. Then looked_back_to tells how far it came, and next is where to go on.
declare
    page constant integer := 50;
    slice constant integer := 2000;
    outcomes constant text[] := array['ok', 'retry', 'failed', 'unhandled'];
    states constant text[] := array['due', 'running', 'put off', 'held', 'paused']; -- of delivery_state; unfinished: any of them
    begun constant timestamptz := clock_timestamp();
    since constant timestamptz := coalesce(candhook_internal.web_time(asked, 'since'), '-infinity');
    until constant timestamptz := coalesce(candhook_internal.web_time(asked, 'until'), 'infinity');
    in_module constant text := candhook_internal.web_text(asked, 'module');
    of_type constant text := candhook_internal.web_text(asked, 'type');
    of_community constant text := candhook_internal.web_text(asked, 'community');
    of_user constant text := candhook_internal.web_text(asked, 'user');
    of_object constant text := candhook_internal.web_text(asked, 'object');
    by_handler constant text := candhook_internal.web_text(asked, 'handler');
    with_result constant text := candhook_internal.web_text(asked, 'result');
    wanted_id constant uuid := candhook_internal.web_id(asked, 'id');
    at timestamptz := until;
    last_id uuid := candhook_internal.web_id(asked, 'before');
    slice_ids uuid[];
    found uuid[] := '{}';
    is_end boolean := false;
begin
    if with_result <> all (outcomes || states || 'unfinished'::text) then
        raise exception 'result must be one of: %', array_to_string(outcomes || states || 'unfinished'::text, ', ')
            using errcode = 'invalid_parameter_value';
    end if;
    if last_id is not null and candhook.received_at(last_id) < until then
        at := candhook.received_at(last_id);
    else
        last_id := '00000000-0000-0000-0000-000000000000'; -- those before `until`, not those at it
    end if;
    if wanted_id is not null then
        is_end := true; -- no search
        found := array(select e.id from candhook.event e
                        where e.received_at = candhook.received_at(wanted_id) and e.id = wanted_id);
    end if;

    while not is_end and cardinality(found) < page loop
        with seen as materialized (
            select e.*
              from candhook.event e
             where (e.received_at, e.id) < (at, last_id) and e.received_at between since and at
             order by e.received_at desc, e.id desc
             limit slice
        ), wanted as (
            select s.id
              from seen s
             where (in_module is null or s.module = in_module)
               and (of_type is null or candhook_internal.matches(of_type, s.type))
               and (of_community is null or of_community in (s.community_id, s.origin_community_id))
               and (of_user is null or of_user in (s.user_id, s.profile_id))
               and (of_object is null or s.payload ->> 'id' = of_object)
               and (by_handler is null and with_result is null
                    or coalesce(with_result = any (outcomes), true)
                       and exists (select from candhook.outcome o
                                    where o.received_at = s.received_at and o.event_id = s.id
                                      and (by_handler is null or o.handler = by_handler)
                                      and (with_result is null or o.result = with_result))
                    or coalesce(with_result <> all (outcomes), true)
                       and exists (select from candhook.delivery d
                                     left join candhook.handler h on h.name = d.handler
                                    where d.received_at = s.received_at and d.event_id = s.id
                                      and (by_handler is null or d.handler = by_handler)
                                      and (coalesce(with_result, 'unfinished') = 'unfinished'
                                           or candhook_internal.delivery_state(d, h.enabled) = with_result)))
             order by s.received_at desc, s.id desc
             limit page + 1 - cardinality(found)
        )
        select array(select s.id from seen s order by s.received_at desc, s.id desc), found || array(select w.id from wanted w)
          into slice_ids, found;
        is_end := cardinality(slice_ids) < slice and cardinality(found) <= page;
        exit when is_end;
        last_id := slice_ids[slice];
        at := candhook.received_at(last_id);
        exit when clock_timestamp() - begun >= patience;
    end loop;

    return jsonb_build_object(
        'at', begun,
        'events', coalesce((select jsonb_agg(candhook_internal.web_event_line(e)
                                             || jsonb_build_object('results', candhook_internal.web_results(e.id)) order by f.n)
                              from unnest(found[:page]) with ordinality f (id, n)
                              join candhook.event e on e.received_at = candhook.received_at(f.id) and e.id = f.id), '[]'),
        'next', case when cardinality(found) > page then found[page] when not is_end then last_id end,
        'looked_back_to', case when cardinality(found) <= page and not is_end then at end);
end
$$;
comment on function candhook_internal.web_events(jsonb, interval) is
    'a page of events, newest first, that fit what the console was asked with';
