create or replace function candhook_internal.take_due(chosen candhook.handler, number bigint, worker text, batch integer,
                                                      lost boolean, first_due timestamptz, right_now timestamptz,
                                                      out taken uuid[], out attempts integer[], out communities text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
-- Leases up to `batch` deliveries of a handler that are due at `right_now` and that no other transaction has locked.
-- Returns their events, the numbers of their attempts, and their communities. `number` is the number of the lease. With
-- lost = true only deliveries whose last attempt was lost are taken, with false only the others, with null both.
-- `first_due` is the due_at of the first of them, which the caller knows: from there on the index scan begins, and skips
-- the dead entries of settled deliveries that vacuum has not removed.
--
-- Of an ordered handler only the first delivery of each key may begin, and only while none of its key runs (heads).
--
-- A delivery that is due and still leased is a lost attempt: its worker ended, or its lease ran out. Its outcome is
-- recorded here, and it counts as a failure: after the last attempt the delivery is settled.
declare
    rows tid[]; -- their ctids
    was_lost boolean[];
    spent boolean[];
    dropped uuid[];
begin
    with unordered as materialized (
        select d.ctid as ctid_of, d.event_id, d.origin_community_id, d.attempt, d.lease is not null as lost,
               d.lease is not null and d.failures + 1 >= chosen.max_attempts as spent
          from candhook.delivery d
         where chosen.ordered_by = 'none' and d.handler = chosen.name and d.due_at between first_due and right_now
           and (d.lease is not null) = coalesce(take_due.lost, d.lease is not null)
         order by d.due_at
         limit batch
           for update skip locked
    ), ordered as materialized (
        select d.*
          from candhook_internal.heads(chosen.name) h
         cross join lateral (
               select d.ctid as ctid_of, d.event_id, d.origin_community_id, d.attempt, d.lease is not null as lost,
                      d.lease is not null and d.failures + 1 >= chosen.max_attempts as spent
                 from candhook.delivery d
                where d.received_at = h.received_at and d.event_id = h.event_id and coalesce(d.handler, '') = chosen.name
                  and d.due_at <= right_now
                  and (d.lease is not null) = coalesce(take_due.lost, d.lease is not null)
                limit 1
                  for update skip locked) d
         where chosen.ordered_by <> 'none' and h.due_at <= right_now
         order by h.due_at
         limit batch
    )
    select coalesce(array_agg(p.event_id), '{}'), array_agg(p.attempt), array_agg(p.origin_community_id), array_agg(p.ctid_of),
           array_agg(p.lost), array_agg(p.spent)
      into taken, attempts, communities, rows, was_lost, spent
      from (select * from unordered
            union all
            select * from ordered) p;

    if true = any (was_lost) then
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, finished_at)
        select t.id, candhook.received_at(t.id), chosen.name, t.attempt, case when t.spent then 'failed' else 'retry' end,
               'attempt lost: its worker ended or its lease ran out', right_now
          from unnest(taken, attempts, was_lost, spent) as t (id, attempt, lost, spent)
         where t.lost;
        perform candhook_internal.settle(array_agg(t.ctid_of)) from unnest(rows, spent) as t (ctid_of, spent) where t.spent;
        select coalesce(array_agg(t.id), '{}'), array_agg(t.attempt), array_agg(t.community), array_agg(t.ctid_of)
          into taken, attempts, communities, rows
          from unnest(taken, attempts, communities, rows, spent) as t (id, attempt, community, ctid_of, spent)
         where not t.spent;
    end if;
    if rows is null then
        return;
    end if;

    dropped := candhook_internal.settle_missing(taken, rows);
    if dropped is not null then
        select coalesce(array_agg(t.id), '{}'), array_agg(t.attempt), array_agg(t.community), array_agg(t.ctid_of)
          into taken, attempts, communities, rows
          from unnest(taken, attempts, communities, rows) as t (id, attempt, community, ctid_of)
         where t.id <> all (dropped);
    end if;
    attempts := array(select t.attempt + 1 from unnest(attempts) with ordinality as t (attempt, n) order by t.n);
    perform candhook_internal.lease_rows(rows, number, take_due.worker, right_now + interval '15 seconds');
end
$$;
comment on function candhook_internal.take_due(candhook.handler, bigint, text, integer, boolean, timestamptz, timestamptz) is
    'leases due deliveries of a handler under this number; returns their events, attempts and communities; a part of '
    'candhook_internal.claim';
