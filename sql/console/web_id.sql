create or replace function candhook_internal.web_id(asked jsonb, name text)
returns uuid
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
-- The id of an event that was asked with; null when it is missing or empty.
declare
    given constant text := candhook_internal.web_text(asked, name);
begin
    if given !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        raise exception '% must be the whole id of an event', name
            using errcode = 'invalid_parameter_value', hint = 'It has 36 characters, as 019ab1c2-d3e4-7000-8000-000000000001.';
    end if;
    return given;
end
$$;
comment on function candhook_internal.web_id(jsonb, text) is 'an id that the console was asked with; null: none';
