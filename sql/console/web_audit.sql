create or replace function candhook_internal.web_audit(asked jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- A page of what users of the console did, newest first.
declare
    before constant text := coalesce(candhook_internal.web_text(asked, 'before'), '9223372036854775807');
begin
    if before !~ '^[0-9]{1,19}$' then
        raise exception 'before must be a number' using errcode = 'invalid_parameter_value';
    end if;
    return (
        with page as (
            select a.* from candhook.audit a where a.id < least(before::numeric, 9223372036854775807)::bigint order by a.id desc limit 100
        )
        select jsonb_build_object('at', clock_timestamp(), 'audit', coalesce(jsonb_agg(to_jsonb(p) order by p.id desc), '[]'),
                                  'next', case when count(*) = 100 then min(p.id)::text end)
          from page p);
end
$$;
comment on function candhook_internal.web_audit(jsonb) is 'what users of the console did, newest first';
