create or replace function candhook.disable_handler(name text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Pauses a handler: attempts that run are finished, none begins. Returns the number of its deliveries, which wait.
begin
    perform candhook_internal.handler_known(disable_handler.name);
    update candhook.handler h set enabled = false where h.name = disable_handler.name and h.enabled;
    return (select count(*) from candhook.delivery d where d.handler = disable_handler.name);
end
$$;
comment on function candhook.disable_handler(text) is
    'Pauses a handler: its deliveries are recorded and wait. Returns how many wait now. '
    'Type: select candhook.disable_handler(''greet'');';
