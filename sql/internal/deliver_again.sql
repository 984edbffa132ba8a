create or replace function candhook_internal.deliver_again(since timestamptz, until timestamptz, one uuid,
                                                           type text, names text[], matching_only boolean)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Gives recorded events to handlers again: events received from `since` to before `until`, one id or all, whose type
-- fits; to the named handlers, or to all enabled ones; with `matching_only` only where they match. Returns the number
-- of deliveries that are made or made due. A part of replay, which has checked the arguments.
--
-- Attempts' numbers continue, since they are part of outcome's key, and failures begin at 0. Why no number comes twice:
-- a delivery that this statement's snapshot does not show is settled, so all its attempts are in outcome, and only
-- another replay could make it again, which the lock excludes. A delivery that the snapshot shows is never made again,
-- only updated; one that is leased, or locked by a run, is left alone. So the snapshot must be newer than the lock:
-- read committed, and a statement of its own.
--
-- A held delivery stays held, since only a token releases it. Handlers are locked as in record_batch, for the same
-- reasons.
declare
    again bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'candhook.replay needs the isolation level read committed'
            using errcode = 'invalid_transaction_state', hint = 'Begin the transaction without an isolation level.';
    end if;
    perform pg_advisory_xact_lock(hashtext('candhook.replay'));

    with wanted as materialized (
        select h.name, h.module, h.type, h.ordered_by
          from candhook.handler h
         where case when names is null then h.enabled else h.name = any (names) end
           for key share of h
    ), chosen as materialized (
        select e.id, e.received_at, e.origin_community_id, w.name as handler,
               candhook_internal.order_key(w.ordered_by, e.id, e.origin_community_id, e.payload ->> 'id') as order_key
          from candhook.event e
          join wanted w
            on not matching_only
               or (candhook_internal.matches(w.module, e.module) and candhook_internal.matches(w.type, e.type))
         where e.received_at >= since and e.received_at < until
           and (one is null or e.id = one)
           and candhook_internal.matches(deliver_again.type, e.type)
    ), waiting as materialized (
        select d.received_at, d.event_id, d.handler
          from chosen c
          join candhook.delivery d
            on d.received_at = c.received_at and d.event_id = c.id and d.handler = c.handler
         where d.lease is null
           for update of d skip locked
    ), renewed as (
        update candhook.delivery d
           set failures = 0, due_at = case when d.held then d.due_at else now() end
          from waiting w
         where d.received_at = w.received_at and d.event_id = w.event_id and d.handler = w.handler
        returning 1
    ), made as (
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key, attempt)
        select c.id, c.received_at, c.handler, c.origin_community_id, c.order_key, coalesce(o.attempt, 0)
          from chosen c
          left join lateral (
               select o.attempt
                 from candhook.outcome o
                where o.received_at = c.received_at and o.event_id = c.id and o.handler = c.handler
                order by o.attempt desc
                limit 1) o on true
         where not exists (select from candhook.delivery d
                            where d.received_at = c.received_at and d.event_id = c.id and d.handler = c.handler)
        on conflict do nothing
        returning 1
    )
    select (select count(*) from renewed) + (select count(*) from made) into again;

    if again > 0 then
        perform set_config('candhook.delivered_again', 'yes', true); -- for finish_first, when a handler calls this
        perform pg_notify('candhook', '');
    end if;
    return again;
end
$$;
comment on function candhook_internal.deliver_again(timestamptz, timestamptz, uuid, text, text[], boolean) is
    'gives recorded events to handlers again; returns how many deliveries; a part of candhook.replay';
