create or replace function candhook_internal.web_unhandled()
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- Types of events that no handler matches, among the newest 100,000 outcomes, each with the statement that adds a handler.
with newest as materialized (
    select o.event_id, o.received_at, o.result from candhook.outcome o order by o.received_at desc, o.event_id desc limit 100000
), type as (
    select e.module, e.type, count(*) as events, min(n.received_at) as first, max(n.received_at) as last,
           format('select candhook.add_handler(%L, %L, %L, ''sql'', ''YOUR_FUNCTION'');', e.type, e.module, e.type) as statement
      from newest n
      join candhook.event e on e.received_at = n.received_at and e.id = n.event_id
     where n.result = 'unhandled'
     group by e.module, e.type
    having not exists (select from candhook.handler h
                        where h.enabled and candhook_internal.matches(h.module, e.module)
                          and candhook_internal.matches(h.type, e.type))
)
select jsonb_build_object('at', clock_timestamp(), 'partial', (select count(*) from newest) = 100000,
                          'types', coalesce((select jsonb_agg(to_jsonb(t) order by t.events desc, t.module, t.type) from type t), '[]'))
$$;
comment on function candhook_internal.web_unhandled() is 'types of events that no handler matches, for the console';
