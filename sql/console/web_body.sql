create or replace function candhook_internal.web_body(asked jsonb, who text)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- A body as text, with the reason when it is malformed. It may hold personal data, so the look is noted in candhook.audit.
declare
    wanted constant uuid := candhook_internal.web_id(asked, 'id');
    found jsonb;
begin
    select jsonb_build_object('id', e.id, 'text', jsonb_pretty(candhook.body(e))) into found
      from candhook.event e
     where e.received_at = candhook.received_at(wanted) and e.id = wanted;
    if found is null then
        select jsonb_build_object('id', m.id, 'text', candhook_internal.readable(m.body), 'reason', m.reason) into found
          from candhook.malformed m
         where m.received_at = candhook.received_at(wanted) and m.id = wanted;
    end if;
    if found is null then
        raise exception 'there is no body %', coalesce(wanted::text, 'without an id') using errcode = 'no_data_found';
    end if;
    perform candhook_internal.web_note(who, 'look at body', wanted::text, 1);
    return found;
end
$$;
comment on function candhook_internal.web_body(jsonb, text) is 'a body as text, for the console; the look is noted';
