create or replace function candhook_internal.readable(body bytea)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
-- Bytes as a text: UTF-8 when they are, else every byte beyond ASCII escaped.
begin
    return convert_from(body, 'UTF8');
exception
    when character_not_in_repertoire or untranslatable_character then
        return encode(body, 'escape');
end
$$;
comment on function candhook_internal.readable(bytea) is 'bytes as a text: UTF-8, or escaped';
