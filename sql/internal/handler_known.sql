create or replace function candhook_internal.handler_known(name text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
-- Raises an error that lists the handlers when there is none of this name. For the functions that people call.
declare
    names text;
begin
    if exists (select from candhook.handler h where h.name = handler_known.name) then
        return;
    end if;
    select string_agg(quote_literal(h.name), ', ' order by h.name) into names
      from candhook.handler h;
    raise exception 'there is no handler %', coalesce(quote_literal(handler_known.name), 'null')
        using errcode = 'undefined_object',
              hint = coalesce('There are: ' || left(names, 2000), 'There is none at all: candhook.add_handler makes one.');
end
$$;
comment on function candhook_internal.handler_known(text) is
    'raises an error that lists the handlers when there is none of this name; a part of the functions for people';
