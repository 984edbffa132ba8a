create or replace function candhook_internal.probe(since timestamptz, probe_id text)
returns table (event_id uuid, outcomes text, failed bigint, unfinished bigint)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- The state of a probe event of `candhook doctor`: no row until it is recorded; then its outcomes so far as a line, the
-- number of those that are failed or retry, and the number of unfinished deliveries.
select e.id,
       (select string_agg(case when o.handler = '' then o.result else o.handler || ' ' || o.result end, ', '
                          order by o.handler, o.attempt)
          from candhook.outcome o
         where o.received_at = e.received_at and o.event_id = e.id),
       (select count(*)
          from candhook.outcome o
         where o.received_at = e.received_at and o.event_id = e.id and o.result in ('failed', 'retry')),
       (select count(*)
          from candhook.delivery d
         where d.received_at = e.received_at and d.event_id = e.id)
  from candhook.event e
 where e.received_at >= $1
   and e.module = 'candhook' and e.type = 'doctor.probe'
   and e.payload ->> 'id' = $2
 limit 1
$$;
comment on function candhook_internal.probe(timestamptz, text) is 'the state of a probe event of candhook doctor';
