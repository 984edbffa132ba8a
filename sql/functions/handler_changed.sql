create or replace function candhook.handler_changed()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- After a handler changed. Definer's rights, so that who manages handlers needs no rights on deliveries.
begin
    if tg_op = 'DELETE' then
        -- What it was to do ends here. An attempt that runs right now ends as this one: it will find its lease gone.
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
            -- A handler that had the new name may have had some of these events, too: attempts are the key of outcome, so
            -- they are numbered on from its last one, and as many more are forgiven.
            update candhook.delivery d
               set (handler, attempt, forgiven) = (
                   select new.name, d.attempt + coalesce(max(o.attempt), 0), d.forgiven + coalesce(max(o.attempt), 0)
                     from candhook.outcome o
                    where o.received_at = d.received_at and o.event_id = d.event_id and o.handler = new.name)
             where d.handler = old.name;
        end if;
        if new.ordered_by <> old.ordered_by then
            update candhook.delivery d
               set order_key = candhook.order_key(new.ordered_by, e.id, e.origin_community_id, e.payload ->> 'id')
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
comment on function candhook.handler_changed() is
    'trigger: deliveries of a removed handler are settled, those of a renamed one follow, those held for a token '
    'that is not needed any more go on, and the order is kept that is asked for now';
