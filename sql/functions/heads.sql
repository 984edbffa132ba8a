create or replace function candhook.heads(handler text)
returns table (received_at timestamptz, event_id uuid, order_key text, due_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_sort = off
as $$
-- The first delivery of each order_key: the only ones that an ordered handler may begin. The index is skipped through
-- from key to key, so it does not matter how much waits behind each.
with recursive head as (
    (select d.received_at, d.event_id, d.order_key, d.due_at
       from candhook.delivery d
      where d.handler = $1 and d.order_key is not null
      order by d.order_key, d.received_at, d.event_id
      limit 1)
    union all
    select n.*
      from head h
     cross join lateral (
           select d.received_at, d.event_id, d.order_key, d.due_at
             from candhook.delivery d
            where d.handler = $1 and d.order_key > h.order_key
            order by d.order_key, d.received_at, d.event_id
            limit 1) n
)
select h.received_at, h.event_id, h.order_key, h.due_at from head h
$$;
comment on function candhook.heads(text) is
    'the first delivery of each order_key of a handler: those that may begin; a part of candhook.claim';
