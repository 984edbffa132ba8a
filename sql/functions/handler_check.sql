create or replace function candhook.handler_check()
returns trigger
language plpgsql
as $$
-- Before a handler is stored. The target of kind sql is looked up now, with the search_path of whoever stores it, and
-- kept as schema.name(candhook.event,text): so a typo shows at once, and nobody can slip another function in between
-- later. Invoker's rights: one names only functions that one can see.
declare
    found_oid regprocedure;
    proc record;
begin
    if tg_op = 'UPDATE' then
        new.changed_at := now();
        if new.ordered_by <> old.ordered_by then
            -- Waits for whoever records deliveries for it right now, and makes others wait: handler_changed finds them all.
            perform from candhook.handler h where h.name = old.name for update;
        end if;
        if new.kind = old.kind and new.target = old.target then
            return new;
        end if;
    end if;
    if new.kind is distinct from 'sql' or new.target is null then
        return new;
    end if;

    begin
        found_oid := to_regprocedure(case when new.target like '%)' then new.target
                                          else new.target || '(candhook.event,text)' end);
    exception
        when others then
            found_oid := null;
    end;
    select n.nspname, p.proname, p.prokind, p.proretset, p.prorettype,
           p.pronargs = 2 and p.proargtypes[0] = 'candhook.event'::regtype and p.proargtypes[1] = 'text'::regtype as fits
      into proc
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where p.oid = found_oid;
    if not found or not proc.fits then
        raise exception 'handler "%": there is no function %(candhook.event, text)', new.name, new.target
            using errcode = 'undefined_function',
                  hint = 'Create it first: create function welcome(event candhook.event, bot_token text) returns text ... '
                         'Then name it with its schema (app.welcome), or set search_path so that it is found.';
    end if;
    if proc.prokind <> 'f' or proc.proretset or proc.prorettype <> 'text'::regtype then
        raise exception 'handler "%": % does not return text', new.name, found_oid
            using errcode = 'invalid_function_definition',
                  hint = 'An sql handler is a function f(event candhook.event, bot_token text) returns text; what it '
                         'returns, null or text, becomes the outcome''s detail.';
    end if;
    new.target := format('%I.%I(candhook.event,text)', proc.nspname, proc.proname);

    if to_regrole('candhook_handler') is not null
       and not (has_schema_privilege('candhook_handler', proc.nspname::text, 'usage')
                and has_function_privilege('candhook_handler', found_oid, 'execute')) then
        raise warning 'handler "%": the role candhook_handler may not call %', new.name, new.target
            using hint = format('grant usage on schema %I to candhook_handler; '
                                'grant execute on function %s to candhook_handler;', proc.nspname, new.target);
    end if;
    return new;
end
$$;
comment on function candhook.handler_check() is
    'trigger: looks up the target of an sql handler when it is stored, and keeps changed_at';
