create or replace function candhook.remove_handler(name text)
returns bigint
language plpgsql
as $$
-- Removes a handler. What waits for it is settled as failed by the trigger handler_changed; returns how many deliveries.
declare
    waited bigint;
begin
    perform candhook.handler_known(remove_handler.name);
    select count(*) into waited from candhook.delivery d where d.handler = remove_handler.name;
    delete from candhook.handler h where h.name = remove_handler.name;
    return waited;
end
$$;
comment on function candhook.remove_handler(text) is
    'removes a handler and settles what waits for it as failed; returns how many deliveries that were';
