create or replace function candhook_internal.handler_truncated()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Truncate fires no trigger for a row, so the handlers' deliveries would not be settled.
begin
    raise exception 'candhook.handler cannot be truncated: its deliveries would be left behind'
        using errcode = 'object_in_use', hint = 'delete from candhook.handler; settles them as failed.';
end
$$;
comment on function candhook_internal.handler_truncated() is 'trigger: refuses truncate of candhook.handler';
