create or replace function candhook.disable_handler(name text)
returns bigint
language plpgsql
as $$
-- A handler pauses: what runs is finished, nothing more begins. Returns how many deliveries wait for it from now on.
begin
    perform candhook.handler_known(disable_handler.name);
    update candhook.handler h set enabled = false where h.name = disable_handler.name and h.enabled;
    return (select count(*) from candhook.delivery d where d.handler = disable_handler.name);
end
$$;
comment on function candhook.disable_handler(text) is
    'a handler pauses: its deliveries are recorded and wait, and none is begun; returns how many there are';
