create or replace function candhook_internal.web_time(asked jsonb, name text)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- A time that was asked with; null when it is missing or empty. Without a zone it is UTC.
declare
    given constant text := candhook_internal.web_text(asked, name);
begin
    return given::timestamptz;
exception
    when invalid_datetime_format or datetime_field_overflow or invalid_time_zone_displacement_value
         or invalid_parameter_value then
        raise exception '% is no time', name
            using errcode = 'invalid_parameter_value', hint = 'A time is written as 2026-01-31T12:00:00Z.';
end
$$;
comment on function candhook_internal.web_time(jsonb, text) is 'a time that the console was asked with; null: none';
