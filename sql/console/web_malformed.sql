create or replace function candhook_internal.web_malformed(asked jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
-- A page of malformed bodies, newest first, without the bodies.
declare
    before constant uuid := coalesce(candhook_internal.web_id(asked, 'before'), 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    at constant timestamptz := case when asked ? 'before' then candhook.received_at(before) else 'infinity' end;
begin
    return (
        with page as (
            select m.id, m.received_at, m.reason, octet_length(m.body) as bytes
              from candhook.malformed m
             where (m.received_at, m.id) < (at, before) and m.received_at <= at
             order by m.received_at desc, m.id desc
             limit 50
        )
        select jsonb_build_object('at', clock_timestamp(),
                                  'malformed', coalesce(jsonb_agg(to_jsonb(p) order by p.received_at desc, p.id desc), '[]'),
                                  'next', case when count(*) = 50
                                               then (array_agg(p.id order by p.received_at, p.id))[1] end)
          from page p);
end
$$;
comment on function candhook_internal.web_malformed(jsonb) is 'a page of malformed bodies, newest first, for the console';
