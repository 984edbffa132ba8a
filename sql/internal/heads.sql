create or replace function candhook_internal.heads(handler text)
returns table (received_at timestamptz, event_id uuid, order_key text, due_at timestamptz, lost boolean)
language sql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_sort = off
as $$
-- The first delivery of each order_key: only these may begin. The index is skipped from key to key, so the number of
-- deliveries behind each does not matter.
--
-- An event that was recorded late can come before one of its key that runs already. Then it may not begin either: its
-- due_at is the end of that lease. A lease that has run out still counts while its delivery is locked, since run_sql
-- runs it. Running deliveries are found by the index of leases (sorts are switched off), since they are few among those
-- that wait.
with recursive head as (
    (select d.received_at, d.event_id, d.order_key, d.due_at, d.lease is not null as lost
       from candhook.delivery d
      where d.handler = $1 and d.order_key is not null
      order by d.order_key, d.received_at, d.event_id
      limit 1)
    union all
    select n.*
      from head h
     cross join lateral (
           select d.received_at, d.event_id, d.order_key, d.due_at, d.lease is not null as lost
             from candhook.delivery d
            where d.handler = $1 and d.order_key > h.order_key
            order by d.order_key, d.received_at, d.event_id
            limit 1) n
), leased as materialized (
    select d.received_at, d.event_id, d.order_key, d.due_at
      from candhook.delivery d
     where d.handler = $1 and d.order_key is not null and d.lease is not null
     order by d.lease
), lost as materialized (
    select d.received_at, d.event_id
      from leased l
      join candhook.delivery d on d.received_at = l.received_at and d.event_id = l.event_id and d.handler = $1
     where l.due_at <= clock_timestamp()
       for update of d skip locked
), running as (
    select l.order_key, max(greatest(l.due_at, clock_timestamp() + interval '1 second')) as until
      from leased l
     where not exists (select from lost o where o.received_at = l.received_at and o.event_id = l.event_id)
     group by l.order_key
)
select h.received_at, h.event_id, h.order_key, greatest(h.due_at, r.until), h.lost
  from head h
  left join running r on r.order_key = h.order_key
$$;
comment on function candhook_internal.heads(text) is
    'the first delivery of each order_key of a handler, when it may begin, and whether its last attempt was lost or '
    'still runs; a part of candhook_internal.claim';
