create or replace function candhook.add_handler(name text, module text, type text, kind text, target text,
                                                needs_token boolean default false,
                                                timeout interval default '30 seconds',
                                                max_attempts integer default 8,
                                                first_delay interval default '10 seconds',
                                                backoff_factor double precision default 2,
                                                max_delay interval default '1 hour',
                                                jitter double precision default 0.5,
                                                concurrency integer default null,
                                                ordered_by text default 'none',
                                                enabled boolean default true)
returns void
language plpgsql
as $$
-- Makes a handler. It gets the events that are recorded from now on; replay gives it earlier ones. The defaults are
-- those of the table.
--
-- The caller's search_path stays in force, since the trigger handler_check looks up the target with it. So every name
-- here is qualified, and nothing else is done than the insert; refuse_handler explains what the table refuses.
declare
    violated pg_catalog.text;
    missing pg_catalog.text;
    given pg_catalog.jsonb;
begin
    insert into candhook.handler (name, module, type, kind, target, needs_token, timeout, max_attempts, first_delay,
                                  backoff_factor, max_delay, jitter, concurrency, ordered_by, enabled)
    values (name, module, type, kind, target, needs_token, timeout, max_attempts, first_delay,
            backoff_factor, max_delay, jitter, concurrency, ordered_by, enabled);
exception
    when unique_violation or check_violation or not_null_violation then
        get stacked diagnostics violated = constraint_name, missing = column_name;
        given := pg_catalog.jsonb_build_object(
            'name', name, 'module', module, 'type', type, 'kind', kind, 'target', target, 'timeout', timeout,
            'max_attempts', max_attempts, 'first_delay', first_delay, 'backoff_factor', backoff_factor,
            'max_delay', max_delay, 'jitter', jitter, 'concurrency', concurrency, 'ordered_by', ordered_by);
        perform candhook_internal.refuse_handler(sqlstate, violated, missing, given);
end
$$;
comment on function candhook.add_handler(text, text, text, text, text, boolean, interval, integer, interval,
                                         double precision, interval, double precision, integer, text, boolean) is
    'Makes a handler. Name the arguments that you give behind the fifth; \d+ candhook.handler tells what each means. '
    'Type: select candhook.add_handler(''greet'', ''MOIM'', ''product.*'', ''sql'', ''app.greet'', max_attempts => 3);';
