create or replace function candhook_internal.web_results(event_id uuid)
returns json
language sql stable
set search_path = pg_catalog, pg_temp
as $$
-- How each handler stands with an event: the state of its unfinished delivery, else its last outcome.
select coalesce(json_agg(json_build_object('handler', s.handler, 'result', s.result, 'attempt', s.attempt) order by s.handler), '[]')
  from (select distinct on (r.handler) r.handler, r.result, r.attempt
          from (select o.handler, o.result, o.attempt, false as unfinished
                  from candhook.outcome o
                 where o.received_at = candhook.received_at($1) and o.event_id = $1
                 union all
                select d.handler, candhook_internal.delivery_state(d, h.enabled), d.attempt, true
                  from candhook.delivery d
                  left join candhook.handler h on h.name = d.handler
                 where d.received_at = candhook.received_at($1) and d.event_id = $1) r
         order by r.handler, r.unfinished desc, r.attempt desc) s
$$;
comment on function candhook_internal.web_results(uuid) is 'how each handler stands with an event, for the console';
