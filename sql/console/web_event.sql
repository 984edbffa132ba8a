create or replace function candhook_internal.web_event(asked jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- One event: its ids, its life so far, and the handlers that it may be replayed to; or that its body was malformed.
declare
    wanted constant uuid := candhook_internal.web_id(asked, 'id');
    event candhook.event;
begin
    select e.* into event from candhook.event e where e.received_at = candhook.received_at(wanted) and e.id = wanted;
    if event.id is null then
        if exists (select from candhook.malformed m where m.received_at = candhook.received_at(wanted) and m.id = wanted) then
            return jsonb_build_object('at', clock_timestamp(), 'id', wanted, 'malformed', true);
        end if;
        raise exception 'there is no event %', coalesce(wanted::text, 'without an id') using errcode = 'no_data_found';
    end if;
    return candhook_internal.web_event_line(event) || jsonb_build_object(
        'at', clock_timestamp(),
        'body_bytes', octet_length(candhook.body(event)::text),
        'life', (select jsonb_agg(to_jsonb(l) - 'rank' order by l.rank, l.at nulls first, l.attempt)
                   from (select 0 as rank, event.received_at as at, 'received' as what, null as handler, null as result,
                                null::integer as attempt, null::bigint as took_ms, null as detail, null as worker
                          union all
                         select 1, coalesce(o.started_at, o.finished_at),
                                case when o.result = 'unhandled' then 'unhandled' else 'attempt' end, o.handler, o.result, o.attempt,
                                (extract(epoch from o.finished_at - o.started_at) * 1000)::bigint, o.detail, null
                           from candhook.outcome o
                          where o.received_at = event.received_at and o.event_id = event.id
                          union all
                         select 2, d.due_at, 'waiting', d.handler, candhook_internal.delivery_state(d, h.enabled), d.attempt, null,
                                case when d.held then 'no valid bot token of '
                                                      || coalesce(d.origin_community_id, 'an event without origin community') end,
                                d.worker
                           from candhook.delivery d
                           left join candhook.handler h on h.name = d.handler
                          where d.received_at = event.received_at and d.event_id = event.id) l),
        'handlers', coalesce((select jsonb_agg(jsonb_build_object(
                                  'name', h.name, 'enabled', h.enabled,
                                  'matches', candhook_internal.matches(h.module, event.module)
                                             and candhook_internal.matches(h.type, event.type)) order by h.name)
                                from candhook.handler h), '[]'));
end
$$;
comment on function candhook_internal.web_event(jsonb) is 'one event and its life, for the console';
