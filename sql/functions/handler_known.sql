create or replace function candhook.handler_known(name text)
returns void
language plpgsql stable
as $$
-- For functions that people call: a name that is no handler is an error that tells which there are.
declare
    there text;
begin
    if exists (select from candhook.handler h where h.name = handler_known.name) then
        return;
    end if;
    select string_agg(quote_literal(h.name), ', ' order by h.name) into there
      from candhook.handler h;
    raise exception 'there is no handler %', coalesce(quote_literal(handler_known.name), 'null')
        using errcode = 'undefined_object',
              hint = coalesce('There are: ' || left(there, 2000), 'There is none at all: candhook.add_handler makes one.');
end
$$;
comment on function candhook.handler_known(text) is
    'an error that names the handlers there are, when this is none; a part of the functions for people';
