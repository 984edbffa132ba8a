create or replace function candhook_internal.counts()
returns table (area text, name text, key text, value text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in values
as $$
#variable_conflict use_column
-- What `candhook status --counts` shows beside what status returns, rows of the same form: what was received and handled
-- in the last hour and day (events, outcomes), the unfinished deliveries, and the health of each handler. It reads all
-- of that, so nothing may call it all day.
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
      from (select coalesce(sum(d.deliveries) filter (where d.state = 'due'), 0) as due,
                   coalesce(sum(d.deliveries) filter (where d.state = 'running'), 0) as running,
                   coalesce(sum(d.deliveries) filter (where d.state = 'put off'), 0) as put_off,
                   coalesce(sum(d.deliveries) filter (where d.state = 'held'), 0) as held,
                   coalesce(sum(d.deliveries) filter (where d.state = 'paused'), 0) as paused
              from candhook_internal.delivery_states() d) counts,
           json_each(row_to_json(counts)) v;

    return query
    select 'handler', h.name, v.key, v.value::text
      from (select x.handler as name, x.last_ok, x.ok_1h, x.failed_1h, x.ok_24h, x.failed_24h, x.unfinished, x.held,
                   floor(extract(epoch from x.oldest_unfinished_age)) as oldest_unfinished_s
              from candhook.handler_health x) h,
           json_each(row_to_json(h)) v
     where v.key <> 'name';
end
$$;
comment on function candhook_internal.counts() is
    'what candhook status --counts shows beside status: counts of the last hour and day; reads all that it counts';
