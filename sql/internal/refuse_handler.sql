create or replace function candhook_internal.refuse_handler(state text, violated text, missing text, given jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Raises the error of an add_handler that the table handler refused: which column, the value that was given, and as a
-- hint the column's comment, which tells what is allowed. `violated` is the constraint, `missing` the column that must
-- not be null, `given` the arguments of add_handler.
declare
    wrong text;
    allowed text;
begin
    if state = '23505' then
        raise exception 'there is a handler % already', quote_literal(given ->> 'name')
            using errcode = 'unique_violation',
                  hint = 'Choose another name, or change it: update candhook.handler set ... where name = '
                         || quote_literal(given ->> 'name');
    end if;
    select a.attname, col_description(a.attrelid, a.attnum) into wrong, allowed
      from pg_attribute a
     where a.attrelid = 'candhook.handler'::regclass and a.attnum > 0
       and (a.attname = missing or starts_with(violated, 'handler_' || a.attname || '_'))
     order by length(a.attname) desc
     limit 1;
    raise exception 'handler %: % cannot be %', coalesce(quote_literal(given ->> 'name'), 'null'), wrong,
                    coalesce(quote_literal(given ->> wrong), 'null')
        using errcode = state, hint = wrong || ': ' || allowed;
end
$$;
comment on function candhook_internal.refuse_handler(text, text, text, jsonb) is
    'raises the error of an add_handler that the table refused; a part of candhook.add_handler';
