create or replace function candhook.enable_handler(name text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Ends the pause of a handler. Returns the number of deliveries that have waited for it.
begin
    perform candhook_internal.handler_known(enable_handler.name);
    update candhook.handler h set enabled = true where h.name = enable_handler.name and not h.enabled;
    return (select count(*) from candhook.delivery d where d.handler = enable_handler.name);
end
$$;
comment on function candhook.enable_handler(text) is
    'Ends the pause of a handler. Returns how many deliveries have waited for it. '
    'Type: select candhook.enable_handler(''greet'');';
