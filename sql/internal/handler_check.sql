create or replace function candhook_internal.handler_check()
returns trigger
language plpgsql
as $$
-- Before a handler is stored: looks up the target of an sql handler with the search_path of the session that stores it.
-- This must not pin search_path, so it only makes calls with qualified names; handler_checked does the rest.
declare
    signature pg_catalog.text;
    function pg_catalog.regprocedure;
begin
    if tg_op operator(pg_catalog.=) 'INSERT' then
        signature := candhook_internal.handler_signature(null, new);
    else
        signature := candhook_internal.handler_signature(old, new);
    end if;
    begin
        function := pg_catalog.to_regprocedure(signature);
    exception
        when others then -- no signature at all
            function := null;
    end;
    if tg_op operator(pg_catalog.=) 'INSERT' then
        new := candhook_internal.handler_checked(null, new, function);
    else
        new := candhook_internal.handler_checked(old, new, function);
    end if;
    return new;
end
$$;
comment on function candhook_internal.handler_check() is
    'trigger: looks up the target of an sql handler when it is stored, and keeps changed_at';
