create or replace function candhook_internal.web_failures(asked jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- The newest 10,000 failures, of which those that failed for good and were not retried since, as the view failed shows them,
-- grouped by handler and error; the 200 groups that failed last.
declare
    by_handler constant text := candhook_internal.web_text(asked, 'handler');
    since constant timestamptz := coalesce(candhook_internal.web_time(asked, 'since'), '-infinity');
begin
    return (
        with newest as materialized (
            select o.*
              from candhook.outcome o
             where o.result = 'failed' and (by_handler is null or o.handler = by_handler) and o.finished_at >= since
             order by o.finished_at desc
             limit 10000
        ), grouped as (
            select n.handler, candhook_internal.error_group(n.detail) as error, count(*) as failures,
                   min(n.finished_at) as first, max(n.finished_at) as last,
                   (array_agg(jsonb_build_object('id', n.event_id, 'detail', n.detail) order by n.finished_at desc))[1] as example,
                   exists (select from candhook.handler h where h.name = n.handler) as known
              from newest n
             where not exists (select from candhook.outcome later
                                where later.received_at = n.received_at and later.event_id = n.event_id
                                  and later.handler = n.handler and later.attempt > n.attempt)
               and not exists (select from candhook.delivery d
                                where d.received_at = n.received_at and d.event_id = n.event_id and d.handler = n.handler)
             group by 1, 2
        )
        select jsonb_build_object(
                   'at', clock_timestamp(),
                   'partial', (select count(*) from newest) = 10000 or (select count(*) from grouped) > 200,
                   'groups', coalesce((select jsonb_agg(to_jsonb(g) - 'id' || jsonb_build_object('event', e.module || ':' || e.type)
                                                        order by g.last desc)
                                         from (select *, (example ->> 'id')::uuid as id from grouped order by last desc limit 200) g
                                         left join candhook.event e on e.received_at = candhook.received_at(g.id) and e.id = g.id),
                                      '[]')));
end
$$;
comment on function candhook_internal.web_failures(jsonb) is 'failures grouped by handler and error, for the console';
