create or replace function candhook_internal.web_concerned(what text, id uuid, handler text, handlers text[], error text)
returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
-- How many deliveries an action of the console would concern now.
select case $1
    when 'replay' then (select count(*)
                          from candhook.event e
                          join candhook.handler h
                            on h.name = any ($4)
                               or $4 is null and h.enabled and candhook_internal.matches(h.module, e.module)
                                  and candhook_internal.matches(h.type, e.type)
                         where e.received_at = candhook.received_at($2) and e.id = $2)
    when 'retry' then (select count(*) from candhook.failed f
                        where f.handler = $3 and f.event is not null
                          and ($5 is null or candhook_internal.error_group(f.detail) = $5))
    else (select count(*) from candhook.delivery d
           where d.handler = $3 and ($2 is null or d.received_at = candhook.received_at($2) and d.event_id = $2)) end
$$;
comment on function candhook_internal.web_concerned(text, uuid, text, text[], text) is
    'how many deliveries an action of the console would concern';
