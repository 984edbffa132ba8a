create or replace function candhook.take(chosen candhook.handler, number bigint, worker text, batch integer, lost boolean,
                                         first_due timestamptz, right_now timestamptz,
                                         out taken uuid[], out communities text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
-- Leases up to `batch` deliveries of a handler that are due at `right_now` and not locked by another; returns their
-- events, and the communities whose tokens they may need. `number` is that of the lease; with null they are locked, and
-- nothing else.
-- With `lost` only those whose last
-- attempt was lost, with false only others. A part of claim, which knows since when the first of them is due: before that
-- the index holds only what is gone and not cleaned up yet, and need not be walked through twice.
--
-- Of an ordered handler only the first delivery of each key may begin, and only while none of its key runs (heads).
--
-- What was picked is found again by its key, for which the handler is compared through coalesce: see finish.
--
-- One that is due and still leased is a lost attempt: its worker ended or let the lease run out. That gets its
-- outcome row here, and counts: when it was the last attempt, the delivery is settled.
declare
    dropped uuid[];
begin
    with unordered as materialized (
        select d.received_at, d.event_id, d.handler, d.origin_community_id, d.attempt, d.lease is not null as lost,
               d.lease is not null and d.attempt - d.forgiven >= chosen.max_attempts as spent
          from candhook.delivery d
         where chosen.ordered_by = 'none' and d.handler = chosen.name and d.due_at between first_due and right_now
           and (d.lease is not null) = coalesce(take.lost, d.lease is not null)
         order by d.due_at
         limit batch
           for update skip locked
    ), ordered as materialized (
        select d.received_at, d.event_id, d.handler, d.origin_community_id, d.attempt, d.lease is not null as lost,
               d.lease is not null and d.attempt - d.forgiven >= chosen.max_attempts as spent
          from candhook.heads(chosen.name) h
          join candhook.delivery d
            on d.received_at = h.received_at and d.event_id = h.event_id and d.handler = chosen.name
         where chosen.ordered_by <> 'none' and h.due_at <= right_now and d.due_at <= right_now
           and (d.lease is not null) = coalesce(take.lost, d.lease is not null)
         order by h.due_at
         limit batch
           for update of d skip locked
    ), picked as (
        select * from unordered
        union all
        select * from ordered
    ), lost as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, finished_at)
        select p.event_id, p.received_at, p.handler, p.attempt, case when p.spent then 'failed' else 'retry' end,
               'attempt lost: its worker ended or its lease ran out', right_now
          from picked p
         where p.lost
    ), settled as (
        delete from candhook.delivery d
         using picked p
         where p.spent
           and d.received_at = p.received_at and d.event_id = p.event_id and coalesce(d.handler, '') = p.handler
    ), leased as (
        update candhook.delivery d
           set lease = number, worker = take.worker, attempt = d.attempt + 1, held = false,
               due_at = right_now + interval '15 seconds'
          from picked p
         where number is not null and not p.spent
           and d.received_at = p.received_at and d.event_id = p.event_id and coalesce(d.handler, '') = p.handler
    )
    select coalesce(array_agg(p.event_id), '{}'), array_agg(distinct p.origin_community_id) into taken, communities
      from picked p
     where not p.spent;

    -- The event was dropped, with its month: nothing is left to handle, nor to tell about. What is only locked will not be
    -- run then, nor settled, and is leased the next time.
    if number is not null then
        dropped := array(select t.id
                           from unnest(taken) as t (id)
                          where not exists (select from candhook.event e
                                             where e.received_at = candhook.received_at(t.id) and e.id = t.id));
    end if;
    if dropped <> '{}' then
        delete from candhook.delivery d
         using unnest(dropped) as t (id)
         where d.received_at = candhook.received_at(t.id) and d.event_id = t.id and coalesce(d.handler, '') = chosen.name;
        taken := array(select t.id from unnest(taken) as t (id) where t.id <> all (dropped));
    end if;
end
$$;
comment on function candhook.take(candhook.handler, bigint, text, integer, boolean, timestamptz, timestamptz) is
    'leases due deliveries of a handler under this number, or locks them when it is null; returns their events and '
    'communities; a part of candhook.claim';
