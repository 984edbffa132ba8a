create or replace function candhook.document(body bytea)
returns jsonb
language sql stable parallel safe
as $$
-- A body as JSON, a UTF-8 byte order mark in front left out. Raises an error of class 22 or 54 when it is none.
select convert_from(case when substr(body, 1, 3) = '\xefbbbf' then substr(body, 4) else body end, 'UTF8')::jsonb
$$;
comment on function candhook.document(bytea) is
    'a body (UTF-8, perhaps with a byte order mark) as jsonb; an error when it is no JSON';
