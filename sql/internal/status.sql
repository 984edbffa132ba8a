create or replace function candhook_internal.status()
returns table (area text, name text, key text, value text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in values
as $$
#variable_conflict use_column
-- What `candhook status` shows of the database: a row for each value, which is JSON. Areas: events (received), outcomes
-- and deliveries (unfinished) with counts, handler with the handler's name, and position with the id of a segment.
-- oldest_due_s is how long the oldest due delivery that could run has waited: one that is held, paused, or behind
-- another delivery of an ordered handler cannot run.
begin
    return query
    select 'events', '', v.key, v.value::text
      from (select (select count(*) from candhook.event e where e.received_at >= now() - interval '1 hour') as received_1h,
                   (select count(*) from candhook.event e where e.received_at >= now() - interval '1 day') as received_24h,
                   (select count(*) from candhook.malformed m
                     where m.received_at >= now() - interval '1 hour') as malformed_1h,
                   (select count(*) from candhook.malformed m
                     where m.received_at >= now() - interval '1 day') as malformed_24h) counts,
           json_each(row_to_json(counts)) v;

    return query
    select 'outcomes', '', v.key, v.value::text
      from (select count(*) filter (where o.result = 'ok' and recent) as ok_1h,
                   count(*) filter (where o.result = 'ok') as ok_24h,
                   count(*) filter (where o.result = 'retry' and recent) as retry_1h,
                   count(*) filter (where o.result = 'retry') as retry_24h,
                   count(*) filter (where o.result = 'failed' and recent) as failed_1h,
                   count(*) filter (where o.result = 'failed') as failed_24h,
                   count(*) filter (where o.result = 'unhandled' and recent) as unhandled_1h,
                   count(*) filter (where o.result = 'unhandled') as unhandled_24h
              from (select o.result, o.finished_at >= now() - interval '1 hour' as recent
                      from candhook.outcome o
                     where o.finished_at >= now() - interval '1 day') o) counts,
           json_each(row_to_json(counts)) v;

    return query
    select 'deliveries', '', v.key, v.value::text
      from (select count(*) filter (where d.state = 'due') as due,
                   count(*) filter (where d.state = 'running') as running,
                   count(*) filter (where d.state = 'put off') as put_off,
                   count(*) filter (where d.state = 'held') as held,
                   count(*) filter (where d.state = 'paused') as paused,
                   (select floor(extract(epoch from clock_timestamp() - min(f.due_at)))
                      from (select w.due_at
                              from candhook.handler h
                              join candhook.delivery w on w.handler = h.name
                             where h.enabled and h.ordered_by = 'none' and not w.held
                            union all
                            select w.due_at
                              from candhook.handler h
                             cross join lateral candhook_internal.heads(h.name) w
                             where h.enabled and h.ordered_by <> 'none'
                               and not exists (select from candhook.delivery p
                                                where p.received_at = w.received_at and p.event_id = w.event_id
                                                  and p.handler = h.name and p.held)) f
                     where f.due_at <= clock_timestamp()) as oldest_due_s
              from (select case when w.held then 'held'
                                when w.lease is not null and w.due_at > clock_timestamp() then 'running'
                                when not h.enabled then 'paused'
                                when w.due_at > clock_timestamp() then 'put off'
                                else 'due' end as state
                      from candhook.delivery w
                      left join candhook.handler h on h.name = w.handler) d) counts,
           json_each(row_to_json(counts)) v;

    return query
    select 'handler', h.name, v.key, v.value::text
      from (select x.handler as name, x.enabled, x.last_ok, x.last_failed, x.ok_1h, x.failed_1h, x.ok_24h, x.failed_24h,
                   x.unfinished, x.held, floor(extract(epoch from x.oldest_unfinished_age)) as oldest_unfinished_s
              from candhook.handler_health x) h,
           json_each(row_to_json(h)) v;

    return query
    select 'position', p.segment::text, 'position', p.position::text
      from candhook_internal.spool_position p;
end
$$;
comment on function candhook_internal.status() is
    'what candhook status shows of the database, a row for each value; values are JSON';
