create or replace function candhook_internal.handler_checked(before candhook.handler, after candhook.handler,
                                                             function regprocedure)
returns candhook.handler
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- The row of handler to be stored, or an error. `before` is null for an insert. `function` is what handler_check found
-- for handler_signature. The target of kind sql is stored as schema.name(candhook.event,text): so a typo shows at once,
-- and no later search_path leads to another function. Invoker's rights: people name only functions that they can see.
declare
    signature constant text := candhook_internal.handler_signature(before, after);
    proc record;
begin
    if before.name is not null then
        after.changed_at := now();
        if after.ordered_by <> before.ordered_by then
            -- Waits for transactions that record for this handler, and makes later ones wait: handler_changed finds all
            -- deliveries.
            perform from candhook.handler h where h.name = before.name for update;
        end if;
    end if;
    if signature is null then
        return after;
    end if;

    select n.nspname, p.proname, p.prokind, p.proretset, p.prorettype,
           p.pronargs = 2 and p.proargtypes[0] = 'candhook.event'::regtype and p.proargtypes[1] = 'text'::regtype as fits
      into proc
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
     where p.oid = function;
    if not found or not proc.fits then
        raise exception 'handler "%": there is no function %(candhook.event, text)', after.name, after.target
            using errcode = 'undefined_function',
                  hint = 'Create it first: create function welcome(event candhook.event, bot_token text) returns text ... '
                         'Then name it with its schema (app.welcome), or set search_path so that it is found.';
    end if;
    if proc.prokind <> 'f' or proc.proretset or proc.prorettype <> 'text'::regtype then
        raise exception 'handler "%": % does not return text', after.name, function
            using errcode = 'invalid_function_definition',
                  hint = 'An sql handler is a function f(event candhook.event, bot_token text) returns text; what it '
                         'returns, null or text, becomes the outcome''s detail.';
    end if;
    after.target := format('%I.%I(candhook.event,text)', proc.nspname, proc.proname);

    if to_regrole('candhook_handler') is not null
       and not (has_schema_privilege('candhook_handler', proc.nspname::text, 'usage')
                and has_function_privilege('candhook_handler', function, 'execute')) then
        raise warning 'handler "%": the role candhook_handler may not call %', after.name, after.target
            using hint = format('grant usage on schema %I to candhook_handler; '
                                'grant execute on function %s to candhook_handler;', proc.nspname, after.target);
    end if;
    return after;
end
$$;
comment on function candhook_internal.handler_checked(candhook.handler, candhook.handler, regprocedure) is
    'the row of handler to be stored, with the full name of its function, or an error; a part of the trigger '
    'handler_check';
