create or replace function candhook.remove_handler(name text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Removes a handler. The trigger handler_changed settles its deliveries as failed; returns their number.
declare
    waited bigint;
begin
    perform candhook_internal.handler_known(remove_handler.name);
    select count(*) into waited from candhook.delivery d where d.handler = remove_handler.name;
    delete from candhook.handler h where h.name = remove_handler.name;
    return waited;
end
$$;
comment on function candhook.remove_handler(text) is
    'Removes a handler and settles its deliveries as failed. Returns how many those were. '
    'Type: select candhook.remove_handler(''greet'');';
