create or replace function candhook.enable_handler(name text)
returns bigint
language plpgsql
as $$
-- A handler works (again). Returns how many deliveries have waited for it.
begin
    perform candhook.handler_known(enable_handler.name);
    update candhook.handler h set enabled = true where h.name = enable_handler.name and not h.enabled;
    return (select count(*) from candhook.delivery d where d.handler = enable_handler.name);
end
$$;
comment on function candhook.enable_handler(text) is
    'a handler works again; returns how many deliveries have waited for it';
