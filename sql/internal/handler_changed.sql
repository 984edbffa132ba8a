create or replace function candhook_internal.handler_changed()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- After a handler changed: updates its deliveries. Definer's rights, so that managing handlers needs no rights on
-- deliveries.
begin
    -- Its snapshot must hold the deliveries that were recorded until the handler was locked, or they would be left behind.
    if (tg_op = 'DELETE' or tg_op = 'UPDATE' and new.name <> old.name)
       and current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a handler is removed or renamed in the isolation level read committed only'
            using errcode = 'invalid_transaction_state', hint = 'begin isolation level read committed;';
    end if;
    if tg_op = 'DELETE' then
        -- A running attempt is settled with its delivery: it will find its lease gone.
        with gone as (
            delete from candhook.delivery d where d.handler = old.name
            returning d.event_id, d.received_at, d.handler,
                      case when d.lease is null then d.attempt + 1 else d.attempt end as attempt
        )
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, finished_at)
        select g.event_id, g.received_at, g.handler, g.attempt, 'failed', 'handler removed', now()
          from gone g;
    elsif tg_op = 'UPDATE' then
        if new.name <> old.name then
            -- A former handler of the new name may have outcomes for some of these events. The attempt's number is part
            -- of outcome's key, so the numbers continue after its last one.
            update candhook.delivery d
               set (handler, attempt) = (
                   select new.name, d.attempt + coalesce(max(o.attempt), 0)
                     from candhook.outcome o
                    where o.received_at = d.received_at and o.event_id = d.event_id and o.handler = new.name)
             where d.handler = old.name;
        end if;
        if new.ordered_by <> old.ordered_by then
            update candhook.delivery d
               set order_key = candhook_internal.order_key(new.ordered_by, e.id, e.origin_community_id, e.payload ->> 'id')
              from candhook.event e
             where d.handler = new.name and e.received_at = d.received_at and e.id = d.event_id;
        end if;
        if old.needs_token and not new.needs_token then
            update candhook.delivery d set held = false, due_at = now() where d.handler = new.name and d.held;
        end if;
    end if;
    perform pg_notify('candhook', '');
    return null;
end
$$;
comment on function candhook_internal.handler_changed() is
    'trigger: settles deliveries of a removed handler, renames those of a renamed one, gives them the keys of a new '
    'ordered_by, and releases those held for a token that is not needed any more';
