create or replace function candhook_internal.web_text(asked jsonb, name text)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
-- A text that was asked with; null when it is missing or empty.
begin
    if jsonb_typeof(asked -> name) <> 'string' then
        raise exception '% must be a text', name using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(asked ->> name) > 1000 then
        raise exception '% is longer than 1000 bytes', name using errcode = 'invalid_parameter_value';
    end if;
    return nullif(asked ->> name, '');
end
$$;
comment on function candhook_internal.web_text(jsonb, text) is 'a text that the console was asked with; null: none';
