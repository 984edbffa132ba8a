create or replace function candhook_internal.status()
returns table (area text, name text, key text, value text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in values
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
-- What `candhook status` judges by, and shows of each handler: a row for each value, which is JSON. Monitoring asks every
-- few seconds, so all of it is looked up by an index, and nothing is counted (counts.sql does that) but tokens, one for each
-- community. Areas: deliveries, handler with the handler's name, tokens, and position with the id of a segment. oldest_due_s is how long the oldest due
-- delivery that could run has waited, null when there is none: one that is held, paused, or behind another delivery of
-- an ordered handler cannot run.
declare
    right_now constant timestamptz := clock_timestamp();
begin
    return query
    select 'deliveries', '', 'oldest_due_s', coalesce(floor(extract(epoch from right_now - min(oldest.due_at)))::text, 'null')
      from candhook.handler h
     cross join lateral (
           (select d.due_at
              from candhook.delivery d
             where h.ordered_by = 'none' and d.handler = h.name and d.due_at <= right_now and not d.held
             order by d.due_at
             limit 1)
            union all
           (select min(w.due_at)
              from candhook_internal.heads(h.name) w
             where h.ordered_by <> 'none' and w.due_at <= right_now
               and not exists (select from candhook.delivery d
                                where d.received_at = w.received_at and d.event_id = w.event_id and d.handler = h.name
                                  and d.held))) oldest
     where h.enabled;

    return query
    select 'handler', h.name, v.key, v.value::text
      from (select x.name, x.enabled,
                   -- Written so that outcome_failed, which has all handlers' failures in a row, is no way to it.
                   (select case when l.handler = x.name then l.finished_at end
                      from (select o.handler, o.finished_at
                              from candhook.outcome o
                             where o.result = 'failed' and (o.handler, o.finished_at) <= (x.name, 'infinity'::timestamptz)
                             order by o.handler desc, o.finished_at desc
                             limit 1) l) as last_failed
              from candhook.handler x
             order by x.name) h,
           json_each(row_to_json(h)) v;

    -- The valid ones are counted in the primary key alone, and the others have indexes of their own.
    return query
    select 'tokens', '', v.key, v.value::text
      from (select (select count(*) from candhook.bot_token t) - ended.count as valid,
                   ended.count as ended,
                   (select count(*) from candhook.bot_token t
                     where t.valid and t.expires_at is not null and t.expires_at < right_now + interval '7 days') as expiring
              from (select count(*) from candhook.bot_token t where not t.valid) ended) counts,
           json_each(row_to_json(counts)) v;

    return query
    select 'position', p.segment::text, 'position', p.position::text
      from candhook_internal.spool_position p;
end
$$;
comment on function candhook_internal.status() is
    'what candhook status shows of the database, a row for each value; values are JSON; counts nothing';
